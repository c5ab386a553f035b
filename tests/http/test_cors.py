"""Pages of an allowed origin can read every response, even if the application did not see the request."""

import time
from collections.abc import AsyncIterator

import httpx
import pytest

from service.app import CONTROLLERS, Service, create_app
from service.http.cors import CORS, VARY
from service.timeouts import ClientTimeouts
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import LoggedIn, service_client
from tests.support.kites import KitesController
from tests.support.raw_http import CHUNKED, GET, POST, listening, talk
from tests.support.sockets import statuses

PAGE = "https://app.example.com"
ORIGIN = f"Origin: {PAGE}\r\n".encode()
READABLE = f"access-control-allow-origin: {PAGE}\r\n".encode()
# What the server itself rejects, and the status.
REJECTED = {
    "no Host": (b"GET /health/live HTTP/1.1\r\n" + ORIGIN + b"\r\n", 400),
    "no chunk": (POST + ORIGIN + CHUNKED + b"no length\r\n", 400),
    "a slow body": (POST + ORIGIN + b"Content-Length: 9\r\n\r\n{", 408),
    "a large head": (GET + ORIGIN + b"X-A: " + b"a" * 33_000 + b"\r\n\r\n", 431),
    "another coding": (POST + ORIGIN + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
}


@pytest.fixture(scope="module")
def app(database_url: str, one_transaction: OneTransaction) -> Service:
    """Return the service with one more controller and an allowed origin."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.app.CONTROLLERS", [*CONTROLLERS, KitesController])
        return create_app(make_settings(database_url, BACKEND_CORS_ORIGINS=PAGE), one_transaction)


@pytest.fixture
async def client(app: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the service."""
    async with service_client(app) as client:
        yield client


@pytest.mark.parametrize(("request_", "status"), REJECTED.values(), ids=REJECTED)
async def test_page_can_read_what_the_server_rejects(app: Service, request_: bytes, status: int) -> None:
    async with listening(app, timeouts=ClientTimeouts(body=0.2, check_interval=0.05)) as port:
        response = await talk(port, request_)

    assert statuses(response) == [status]
    assert READABLE in response


async def test_other_page_cannot_read_what_the_server_rejects(app: Service) -> None:
    async with listening(app) as port:
        response = await talk(port, b"GET /health/live HTTP/1.1\r\nOrigin: https://evil.example\r\n\r\n")

    assert b"access-control" not in response


def test_long_origin_takes_no_time_despite_wildcards() -> None:
    cors = CORS(["https://*--*.example.com"], [])
    used = time.thread_time()

    assert cors.response_headers({b"origin": b"https://" + b"-" * 60_000}) == [VARY]
    assert time.thread_time() - used < 1


async def test_page_can_read_that_a_host_is_unknown(client: httpx.AsyncClient) -> None:
    headers = {"Origin": PAGE, "Host": "other.example"}
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}

    preflight = await client.options("/users/me", headers=headers | asked)
    response = await client.get("/users/me", headers=headers)

    assert preflight.status_code == 204
    assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (421, PAGE)


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ("*", "https://any.example", True),
        ("https://*.example.com", "https://preview-7.example.com", True),
        ("https://*.example.com", "https://app.example.net", False),
        ("https://App.Example.com", "https://app.example.com", True),
        ("https://app.example.com", "https://app-example.com", False),
    ],
)
async def test_origins_can_have_wildcards_and_capitals(
    database_url: str, one_transaction: OneTransaction, origins: str, origin: str, *, allowed: bool
) -> None:
    app = create_app(make_settings(database_url, BACKEND_CORS_ORIGINS=origins), one_transaction)
    async with service_client(app) as client:
        response = await client.get("/health/live", headers={"Origin": origin})

    assert response.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)


async def test_options_of_a_page_lists_methods(client: httpx.AsyncClient) -> None:
    """Without Access-Control-Request-Method it is no preflight."""
    response = await client.options("/users/me", headers={"Origin": PAGE})

    assert response.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS"
    assert response.headers["Access-Control-Allow-Origin"] == PAGE


async def test_repeated_lines_of_if_none_match_are_joined(client: httpx.AsyncClient, user: LoggedIn) -> None:
    tags = [("If-None-Match", '"0"'), ("If-None-Match", '"1"')]

    response = await client.get("/kites/7", headers=[*user.bearer.items(), *tags])

    assert response.status_code == 304
