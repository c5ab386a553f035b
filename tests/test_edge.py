"""What each request passes first."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest

from service.app import create_app
from tests.conftest import OneTransaction, make_settings
from tests.factories import service_client

Serving = Callable[[str], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def serving(database_url: str, one_transaction: OneTransaction) -> Serving:
    """Return what makes a client of a service that answers to the given hosts."""

    def serving(hosts: str) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        return service_client(create_app(make_settings(database_url, ALLOWED_HOSTS=hosts), one_transaction))

    return serving


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/live", 200),
        ("GET", "/", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/pets/create", 405),
        ("OPTIONS", "/health/live", 204),
        ("GET", "/pets/me", 401),
    ],
)
async def test_every_answer_names_its_request(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    response = await client.request(method, path)

    assert response.status_code == status
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", response.headers["X-Request-ID"])


async def test_no_two_requests_have_the_same_name(client: httpx.AsyncClient) -> None:
    """One that the client sends is not believed: it could be anything, or somebody else's."""
    answers = [await client.get("/health/live", headers={"X-Request-ID": "mine"}) for _ in range(2)]

    assert len({"mine"} | {answer.headers["X-Request-ID"] for answer in answers}) == 3


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "evil-localhost", "", "[::1]", "localhost."]
)
async def test_a_host_that_is_not_ours_is_refused(client: httpx.AsyncClient, host: str) -> None:
    response = await client.get("/", headers={"Host": host})

    assert response.status_code == 421
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["type"] == "/problems/unknown-host"
    assert response.json()["instance"] == f"urn:uuid:{response.headers['X-Request-ID']}"


async def test_a_request_that_names_no_host_is_refused(client: httpx.AsyncClient) -> None:
    request = client.build_request("GET", "/")
    del request.headers["Host"]

    assert (await client.send(request)).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "localhost:8000", "127.0.0.1:8000"])
async def test_a_host_is_ours_in_any_case_and_on_any_port(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_health_is_told_to_whoever_asks_by_address(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path, headers={"Host": "10.1.2.3:5000"})).status_code == 200


@pytest.mark.parametrize(
    ("hosts", "host", "status"),
    [
        ("*", "anything.example", 200),
        (".Example.com", "example.com", 200),
        (".example.com", "api.eu.Example.com:443", 200),
        (".example.com", "notexample.com", 421),
        (".example.com", "example.com.evil.example", 421),
        ("api.example.com", "example.com", 421),
        ("[::1]", "[::1]:8000", 200),
        ("[::1]", "[::1]", 200),
        ("[::1]", "[::2]:8000", 421),
    ],
)
async def test_a_host_may_stand_for_many(serving: Serving, hosts: str, host: str, status: int) -> None:
    async with serving(hosts) as client:
        response = await client.get("/", headers={"Host": host})

    assert response.status_code == status
