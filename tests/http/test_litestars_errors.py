"""Errors that Litestar finds itself, in forms and cookies, name the field; any ValidationException is a problem."""

from typing import Annotated, Any

import httpx
import msgspec
import pytest
from litestar import get, post
from litestar.exceptions import ValidationException
from litestar.params import FromCookie, FromHeader, URLEncodedBody

from service.app import CONTROLLERS, create_app
from service.http import openapi_document
from service.http.response import JSONResponse
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import service_client
from tests.support.small_application import small_application


class Note(msgspec.Struct, forbid_unknown_fields=True):
    """A form."""

    text: Annotated[str, msgspec.Meta(min_length=1)]


@post("/notes")
async def add_note(data: URLEncodedBody[Note]) -> JSONResponse[str]:
    """Read a form as Litestar does."""
    return JSONResponse(data.text)


@get("/shelf")
async def show_shelf(shelf: FromCookie[int]) -> JSONResponse[int]:
    """Need a cookie."""
    return JSONResponse(shelf)


@get("/floor")
async def show_floor(floor: FromHeader[int]) -> JSONResponse[int]:
    """Need a header."""
    return JSONResponse(floor)


async def request(handler: Any, method: str, path: str, **content: Any) -> httpx.Response:  # noqa: ANN401 - any handler
    async with service_client(small_application([handler])) as client:
        return await client.request(method, path, **content)


@pytest.mark.parametrize(
    ("form", "pointer", "detail"),
    [
        ({}, "/text", "is missing"),
        ({"text": "a", "colour": "red"}, "/colour", "is not a known field"),
        ({"text": ""}, "/text", "Expected str of length >= 1"),
    ],
)
async def test_invalid_field_of_a_form_is_named(form: dict[str, str], pointer: str, detail: str) -> None:
    response = await request(add_note, "POST", "/notes", data=form)

    assert (response.status_code, response.json()["errors"]) == (422, [{"pointer": pointer, "detail": detail}])


async def test_missing_cookie_is_named() -> None:
    response = await request(show_shelf, "GET", "/shelf")

    assert (response.status_code, response.json()["errors"]) == (422, [{"pointer": "/shelf", "detail": "is missing"}])


@pytest.mark.parametrize("extra", [["too late"], [{"field": "end"}], [], {"end": "too late"}, None])
async def test_any_validation_exception_is_a_problem(extra: Any) -> None:  # noqa: ANN401 - as Litestar declares it
    @get("/late")
    async def show_late() -> JSONResponse[int]:
        raise ValidationException("too late", extra=extra)

    response = await request(show_late, "GET", "/late")

    assert (response.status_code, response.json()["detail"]) == (400, "too late")


@pytest.mark.parametrize("path", ["/shelf", "/floor"])
def test_refused_header_or_cookie_is_documented(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr("service.app.CONTROLLERS", [*CONTROLLERS, show_shelf, show_floor])

    document = openapi_document(create_app(make_settings("postgresql://localhost/unused"), OneTransaction()))

    assert "422" in document["paths"][path]["get"]["responses"]
