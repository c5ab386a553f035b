"""A client of the service that knows the contract and nothing else: it imports nothing of ours."""

import os
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

PASSWORD, OTHER_PASSWORD = "correct horse battery", "staple correct horse"
# A token pair.
TIMES = {"issued_at", "expires_at", "refresh_token_issued_at", "refresh_token_expires_at"}
PAIR = {"token_type", "access_token", "refresh_token", *TIMES}
# Endpoints for those who are logged in.
GUARDED = [
    *("GET /users/me", "DELETE /users/me", "POST /users/reset-password"),
    *("GET /auth/sessions", "DELETE /auth/sessions", "DELETE /auth/sessions/00000000-0000-0000-0000-000000000000"),
    *("POST /pets/create", "GET /pets/me", "GET /pets/1", "PATCH /pets/1", "DELETE /pets/1"),
]


class Person:
    """Someone with an account, logged in."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.email = f"{uuid4()}@example.com"
        registered = http.post("/users/register", json={"email": self.email, "password": PASSWORD})
        assert registered.status_code == 201
        self.id = registered.json()["id"]
        self.tokens = self.log_in().json()

    def log_in(self, password: str = PASSWORD) -> httpx.Response:
        """Log in once more; the answer changes nothing here."""
        return self.http.post("/auth/access-token", data={"username": self.email, "password": password})

    def ask(self, method: str, path: str, json: object = None, *, token: str = "", **headers: str) -> httpx.Response:
        """Send a request as this person, by another of their access tokens if one is given."""
        headers["Authorization"] = f"Bearer {token or self.tokens['access_token']}"
        return self.http.request(method, path, json=json, headers=headers)


@pytest.fixture(scope="module")
def base_url(request: pytest.FixtureRequest) -> str:
    """Return where the service is."""
    return os.environ.get("BLACK_BOX_URL") or str(request.getfixturevalue("served").url)


@pytest.fixture(scope="module")
def http(base_url: str) -> Iterator[httpx.Client]:
    """Return a client that nobody is logged in with."""
    with httpx.Client(base_url=base_url, trust_env=False, timeout=20) as client:
        yield client


@pytest.fixture
def ada(http: httpx.Client) -> Person:
    """Return someone who is logged in."""
    return Person(http)


def refresh(http: httpx.Client, token: str) -> httpx.Response:
    """Trade a refresh token."""
    return http.post("/auth/refresh-token", json={"refresh_token": token})


def assert_problem(response: httpx.Response, status: int, detail: str = "") -> dict[str, Any]:
    """Check that the answer is a refusal of RFC 9457, and return it."""
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
    """Return where rules were broken."""
    return [error["pointer"] for error in problem["errors"]]
