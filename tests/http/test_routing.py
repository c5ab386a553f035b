"""HEAD, OPTIONS and strict path parameters, which Litestar's routes lack."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import HttpMethod, Response, get, route

from service.app import Service
from service.http.response import JSONResponse
from service.http.routing import parse_id
from tests.support.factories import LoggedIn, service_client
from tests.support.small_application import small_application

HOST = [(b"host", b"localhost")]
ID = "6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1a"


@pytest.mark.parametrize(
    "path", ["/users/me", "/auth/sessions", "/health/live", "/", "/openapi.json", "/docs/start.js"]
)
async def test_head_is_get_without_the_body(client: httpx.AsyncClient, user: LoggedIn, path: str) -> None:
    """The server omits the body; this client is not one."""
    head, get = [await client.request(method, path, headers=user.bearer) for method in ("HEAD", "GET")]

    assert head.status_code == get.status_code == 200
    own = {"x-request-id": ""}
    assert dict(head.headers) | own == dict(get.headers) | own


async def test_head_is_refused_like_get(client: httpx.AsyncClient) -> None:
    assert (await client.head("/users/me")).status_code == 401
    assert (await client.head("/users/register")).status_code == 405
    assert (await client.head("/nowhere")).status_code == 404


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/users/me", "DELETE, GET, HEAD, OPTIONS"),
        ("/users/register", "OPTIONS, POST"),
        ("/kites/1", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/", "GET, HEAD, OPTIONS"),
    ],
)
async def test_options_lists_methods_without_a_token(kites: httpx.AsyncClient, path: str, allowed: str) -> None:
    responses = [await kites.options(path) for _ in range(2)]

    assert [response.status_code for response in responses] == [204, 204]
    assert [response.headers["Allow"] for response in responses] == [allowed, allowed]
    assert len(responses[1].headers.get_list("X-Request-ID")) == 1


@pytest.mark.parametrize(
    ("method", "path", "host", "status"),
    [
        ("OPTIONS", "*", b"localhost", 204),
        ("OPTIONS", "*", b"evil.example", 421),
        ("GET", "*", b"localhost", 404),
        ("OPTIONS", "/*", b"localhost", 404),
    ],
)
async def test_asterisk_allows_only_options(app: Service, method: str, path: str, host: bytes, status: int) -> None:
    """RFC 9110, 9.3.7."""
    sent: list[Any] = []

    async def receive() -> Any:  # noqa: ANN401 - ASGI's messages
        raise AssertionError

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's messages
        sent.append(message)

    scope: Any = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"host", host)],
    }
    await app(scope, receive, send)

    assert sent[0]["status"] == status


@pytest.mark.parametrize("alias", ["1_0", "01", "%2B1", "+1", "%201", "1%20", "1.0", "1e0"])
async def test_number_has_one_spelling(kites: httpx.AsyncClient, user: LoggedIn, alias: str) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        response = await kites.request(method, f"/kites/{alias}", json={"kite_name": "Red"}, headers=user.bearer)
        assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize("alias", ["{" + ID + "}", f"urn:uuid:{ID}", ID.replace("-", ""), ID + " ", "", "1" * 5000])
def test_uuid_has_one_spelling(alias: str) -> None:
    assert parse_id(UUID, ID) == parse_id(UUID, ID.upper()) == UUID(ID)
    with pytest.raises(ValueError):  # noqa: PT011 - any message
        parse_id(UUID, alias)


@pytest.mark.parametrize("alias", ["1_0", "01", "+1", " 1", "1 ", "-0", "٣", "\uff11", "9" * 5000, ""])
def test_integer_has_one_spelling(alias: str) -> None:
    assert parse_id(int, "10") == 10
    with pytest.raises(ValueError):  # noqa: PT011 - any message
        parse_id(int, alias)


async def test_session_has_one_url(client: httpx.AsyncClient, user: LoggedIn) -> None:
    aliases = user.session.hex, f"{{{user.session}}}", user.session.urn

    responses = [await client.delete(f"/auth/sessions/{alias}", headers=user.bearer) for alias in aliases]

    assert [response.status_code for response in responses] == [404, 404, 404]


@pytest.mark.parametrize(
    "path", ["/kites/1/", "//kites/1", "/kites//1", "/kites%2F1", "/kites%2f1", "/kites/1%2F", "/kites/me/"]
)
async def test_path_has_one_spelling(kites: httpx.AsyncClient, user: LoggedIn, path: str) -> None:
    response = await kites.get(f"http://localhost{path}", headers=user.bearer)

    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


async def test_path_may_be_percent_encoded(kites: httpx.AsyncClient, user: LoggedIn) -> None:
    """Encoding a character that needs none does not change the path (RFC 3986, 6.2.2.2)."""
    assert (await kites.get("/k%69tes/1", headers=user.bearer)).status_code == 200


@route("/own", http_method=[HttpMethod.OPTIONS, HttpMethod.HEAD], sync_to_thread=False)
def own_methods() -> Response[None]:
    return Response(None, headers={"X-Mine": "yes"})


@get("/own")
async def get_own() -> JSONResponse[str]:
    return JSONResponse("got")


async def test_own_handlers_of_head_and_options_are_kept() -> None:
    async with service_client(small_application([own_methods, get_own])) as client:
        answers = [await client.request(method, "/own") for method in ("OPTIONS", "HEAD", "GET")]

    assert [answer.headers.get("X-Mine") for answer in answers] == ["yes", "yes", None]
