"""Strict reading of request bodies: invalid ones are client errors that name the cause."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from structlog.testing import capture_logs

from service.app import Service
from service.http.request import ServiceRequest
from tests.support.factories import LoggedIn

REGISTER, LOG_IN = "/users/register", "/auth/access-token"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MALFORMED, INVALID = "/problems/malformed-request", "/problems/invalid-input"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "The body is empty"),
        (b"{", "Input data was truncated"),
        (b'{"email": NaN}', "JSON is malformed"),
        (b"email", "JSON is malformed"),
        ('{"email": ""}'.encode("utf-16"), "JSON is malformed"),
        (b'\xef\xbb\xbf{"email": ""}', "JSON is malformed"),
        (b'{"email": "\xff"}', "Invalid UTF-8"),
        (b'{"\xff": ""}', "Invalid UTF-8"),
        (b'{"email": "\xed\xa0\x80"}', "Invalid UTF-8"),
        (rb'{"email": "\ud800"}', "Input data was truncated"),
        (rb'{"email": "\ud800 and more"}', "utf-16 surrogate pair"),
        (rb'{"email": "\udc00 and more"}', "utf-16 surrogate pair"),
        (b'{"email": "\x00"}', "JSON is malformed"),
        (b'{"email": 1', "truncated"),
    ],
)
async def test_malformed_json_is_400(client: httpx.AsyncClient, body: bytes, complaint: str) -> None:
    response = await client.post(REGISTER, content=body, headers=JSON)

    assert (response.status_code, response.json()["type"]) == (400, MALFORMED)
    assert complaint in response.json()["detail"]


GOOD = '"email": "ada@example.com", "password": "a password for one test"'


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ("[]", "", "Expected object, got array"),
        ("null", "", "Expected object, got null"),
        ("[" * 60_000, "", "Expected object, got array"),
        (f'{{"email": {"[" * 60_000}', "/email", "Expected str, got array"),
        ('{"email": "ada@example.com"}', "/password", "is missing"),
        (f'{{{GOOD}, "admin": true}}', "/admin", "is not a known field"),
        (f'{{{GOOD}, "is/it~so`?": true}}', "/is~1it~0so`?", "is not a known field"),
        (f'{{{GOOD}, "é\\n": true}}', "/é\n", "is not a known field"),
        ('{"email": 1, "password": "long enough"}', "/email", "Expected str, got int"),
        ('{"email": 1e999, "password": ""}', "/email", "Number out of range"),
        ('{"email": "ann@example.com", "password": "short"}', "/password", "Expected str of length >= 8"),
    ],
)
async def test_invalid_field_is_pointed_at(client: httpx.AsyncClient, body: str, pointer: str, detail: str) -> None:
    response = await client.post(REGISTER, content=body, headers=JSON)

    problem = response.json()
    assert (response.status_code, problem["type"]) == (422, INVALID)
    assert problem["errors"] == [{"pointer": pointer, "detail": detail}]
    assert problem["detail"] == f"{pointer or 'The body'}: {detail}"


async def test_all_broken_rules_are_named(client: httpx.AsyncClient) -> None:
    response = await client.post(REGISTER, json={"email": 1, "password": 2, "a/b": 1, "c": 2})

    errors = [
        {"pointer": "/email", "detail": "Expected str, got int"},
        {"pointer": "/password", "detail": "Expected str, got int"},
        {"pointer": "/a~1b", "detail": "is not a known field"},
        {"pointer": "/c", "detail": "is not a known field"},
    ]
    assert (response.status_code, response.json()["errors"]) == (422, errors)
    assert response.json()["detail"] == "; ".join(f"{each['pointer']}: {each['detail']}" for each in errors)


async def test_all_broken_rules_of_values_are_named(client: httpx.AsyncClient) -> None:
    response = await client.post(REGISTER, json={"email": "ann", "password": "short"})

    assert [error["pointer"] for error in response.json()["errors"]] == ["/email", "/password"]


@pytest.mark.parametrize("headers", [JSON, FORM])
async def test_all_missing_fields_are_named(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    path, content = (REGISTER, b"{}") if headers is JSON else (LOG_IN, b"")

    response = await client.post(path, content=content, headers=headers)

    assert [error["detail"] for error in response.json()["errors"]] == ["is missing", "is missing"]


async def test_nul_character_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post(LOG_IN, data={"username": "\0", "password": "secret"})

    assert (response.status_code, response.json()["type"]) == (422, INVALID)
    assert response.json()["errors"] == [{"pointer": "/username", "detail": "contains NUL, which cannot be stored"}]


@pytest.mark.parametrize("body", ["[" * 100_000, '{"email": "' + "a" * 65_536 + '"}'])
async def test_body_over_64_kib_is_413(client: httpx.AsyncClient, body: str) -> None:
    response = await client.post(REGISTER, content=body, headers=JSON)

    assert (response.status_code, response.json()["type"]) == (413, "/problems/content-too-large")


async def test_length_with_thousands_of_zeros_is_read(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": "0" * 5000 + "21"}

    response = await client.post("/auth/logout", content=b'{"refresh_token":"x"}', headers=headers)

    assert response.status_code == 204


@pytest.mark.parametrize(("path", "headers"), [(REGISTER, JSON), (LOG_IN, FORM)])
async def test_chunked_body_over_64_kib_is_413(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(65):
            yield b" " * 1024

    response = await client.post(path, content=body(), headers=headers)

    assert (response.status_code, response.json()["type"]) == (413, "/problems/content-too-large")


@pytest.mark.parametrize(
    ("path", "given", "wanted"),
    [
        (REGISTER, {}, JSON),
        (REGISTER, {"Content-Type": "text/plain"}, JSON),
        (REGISTER, {"Content-Type": "application/jsonp"}, JSON),
        (REGISTER, FORM, JSON),
        (LOG_IN, JSON, FORM),
        (LOG_IN, {"Content-Type": "multipart/form-data; boundary=a"}, FORM),
    ],
)
async def test_body_of_another_type_is_415(
    client: httpx.AsyncClient, path: str, given: dict[str, str], wanted: dict[str, str]
) -> None:
    response = await client.post(path, content=b"{}", headers=given)

    assert (response.status_code, response.json()["type"]) == (415, "/problems/unsupported-media-type")
    assert response.headers["Accept-Post"] == wanted["Content-Type"]


@pytest.mark.parametrize(
    ("method", "path", "header"), [("PATCH", "/kites/1", "Accept-Patch"), ("DELETE", "/users/me", "Accept")]
)
async def test_415_names_the_media_type_that_the_method_takes(
    kites: httpx.AsyncClient, user: LoggedIn, method: str, path: str, header: str
) -> None:
    response = await kites.request(method, path, content=b"{}", headers=user.bearer)

    assert response.status_code == 415
    assert response.headers[header] == "application/json"
    assert "Accept-Post" not in response.headers


async def test_compressed_body_is_415(client: httpx.AsyncClient) -> None:
    response = await client.post(REGISTER, content=b"\x1f\x8b", headers=JSON | {"Content-Encoding": "gzip"})

    assert (response.status_code, response.json()["type"]) == (415, "/problems/unsupported-media-type")
    assert response.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"username", "bad query field: 'username'"),
        (b"username=ada&&password=secret", "bad query field: ''"),
        (b"username=\xff", "'utf-8' codec can't decode byte 0xff"),
        (b"username=%ff", "'utf-8' codec can't decode byte 0xff"),
        (b"username=%ed%a0%80", "'utf-8' codec can't decode byte 0xed"),
        (b"username=ada&username=bob&password=secret", "a field is given more than once"),
        (b"&".join(b"a%d=" % number for number in range(21)), "Max number of fields exceeded"),
    ],
)
async def test_malformed_form_is_400(client: httpx.AsyncClient, body: bytes, complaint: str) -> None:
    response = await client.post(LOG_IN, content=body, headers=FORM)

    problem = response.json()
    assert (response.status_code, problem["type"]) == (400, MALFORMED)
    assert problem["detail"].startswith(f"The body is not a form: {complaint}")
    assert problem["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ("username=ada", "/password", "is missing"),
        ("username=ada&password=secret&admin=true", "/admin", "is not a known field"),
    ],
)
async def test_form_is_validated_as_strictly_as_json(
    client: httpx.AsyncClient, body: str, pointer: str, detail: str
) -> None:
    response = await client.post(LOG_IN, content=body, headers=FORM)

    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": pointer, "detail": detail}]


@pytest.mark.parametrize(
    ("query", "pointer", "detail"),
    [
        ("cursor=x", "/cursor", "is not a known parameter"),
        ("limit=1&Limit=1", "/Limit", "is not a known parameter"),
        ("a%2Fb~c", "/a~1b~0c", "is not a known parameter"),
        ("%ff=", "/\ufffd", "is not a known parameter"),
        ("request=1", "/request", "is not a known parameter"),
        ("limit=1&limit=2", "/limit", "is given more than once"),
    ],
)
async def test_unknown_query_parameter_is_named(
    kites: httpx.AsyncClient, user: LoggedIn, query: str, pointer: str, detail: str
) -> None:
    response = await kites.get(f"/kites/me?{query}", headers=user.bearer)

    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": pointer, "detail": detail}]


async def test_parameters_are_checked_after_the_token(client: httpx.AsyncClient) -> None:
    assert (await client.get("/users/me?cursor=x")).status_code == 401


@pytest.mark.parametrize("path", [REGISTER, LOG_IN, "/auth/logout"])
async def test_body_fields_in_the_query_are_refused(client: httpx.AsyncClient, path: str) -> None:
    """URLs are logged; RFC 6749, 2.3.1 forbids credentials in them."""
    response = await client.post(f"{path}?password=secret", content=b"{}", headers=JSON)

    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": "/password", "detail": "is not a known parameter"}]


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/health/live", "/docs/start.js"])
async def test_public_pages_ignore_unknown_parameters(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(f"{path}?utm_source=mail")).status_code == 200


@pytest.mark.parametrize(("path", "headers"), [(REGISTER, JSON), (LOG_IN, FORM)])
async def test_client_disconnect_is_400_and_not_logged(app: Service, path: str, headers: dict[str, str]) -> None:
    arriving: list[Any] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> Any:  # noqa: ANN401 - ASGI's messages
        return arriving.pop(0)

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's messages
        sent.append(message)

    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", headers["Content-Type"].encode())],
    }
    with capture_logs() as logs:
        await app(scope, receive, send)

    assert sent[0]["status"] == 400
    assert msgspec.json.decode(sent[1]["body"])["detail"] == "The request body is incomplete"
    assert logs == []


def test_litestars_lazy_attributes_are_available(app: Service) -> None:
    scope: Any = {
        "type": "http",
        "headers": [(b"cookie", b"taste=sweet")],
        "state": {},
        "litestar_app": app,
        "header_map": {},
    }
    request = ServiceRequest(scope)

    assert request.cookies == {"taste": "sweet"}
    with pytest.raises(AttributeError, match="crumbs"):
        request.crumbs  # type: ignore[attr-defined]  # noqa: B018 - mypy reports it too; reading the attribute is the test
