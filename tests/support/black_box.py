"""A client of the service that knows only its API contract: it imports nothing of the service."""

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.accounts import Account, account, connect
from tests.support.examples import example_of

OTHER_PASSWORD = "another password for one test"
# A token pair.
TIMES = {"issued_at", "expires_at", "refresh_token_issued_at", "refresh_token_expires_at"}
PAIR = {"token_type", "access_token", "refresh_token", *TIMES}


@pytest.fixture(scope="module")
def base_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of the service."""
    return os.environ.get("BLACK_BOX_URL") or str(request.getfixturevalue("served").url)


@pytest.fixture(scope="module")
def http(base_url: str) -> Iterator[httpx.Client]:
    """Return a client without a log-in."""
    with connect(base_url) as client:
        yield client


@pytest.fixture
def ada(http: httpx.Client) -> Account:
    """Return a logged-in account."""
    return account(http)


def guarded_endpoints(http: httpx.Client) -> list[tuple[str, str]]:
    """Return method and path, with an example of its id, of every endpoint that needs an access token."""
    document = http.get("/openapi.json").json()
    return [
        (
            method.upper(),
            path.format(**{each["name"]: example_of(each["schema"], document) for each in parameters(operation)}),
        )
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("security")
    ]


def parameters(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters that `operation` has in its path."""
    return [each for each in operation.get("parameters", ()) if each["in"] == "path"]


def assert_problem(response: httpx.Response, status: int, detail: str = "") -> dict[str, Any]:
    """Check that the response is an RFC 9457 problem, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["type"].startswith("/problems/")
    assert problem["title"]
    assert problem["instance"]
    assert detail in problem["detail"]
    return problem


def pointers(problem: dict[str, Any]) -> list[str]:
    """Return the pointers of the broken rules."""
    return [error["pointer"] for error in problem["errors"]]
