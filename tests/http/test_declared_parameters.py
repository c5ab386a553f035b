"""A parameter that Litestar would not check as declared prevents the start; a value in a path is strict."""

from datetime import date, datetime, timedelta
from typing import Annotated

import msgspec
import pytest
from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ControllerRouterHandler

from service.http import ConfigurationError, JSONResponse
from tests.support.factories import service_client
from tests.support.small_application import small_application

Positive = Annotated[int, msgspec.Meta(ge=1)]


@get("/pages")
async def list_pages(size: FromQuery[Positive]) -> JSONResponse[int]:
    return JSONResponse(size)


@get("/sheets")
async def list_sheets(size: FromQuery[Positive | None] = None) -> JSONResponse[int | None]:
    return JSONResponse(size)


@get("/hours")
async def list_hours(since: FromQuery[date | datetime]) -> JSONResponse[str]:
    return JSONResponse(str(since))


@get("/days")
async def list_days(day: Annotated[int, QueryParameter(max_length=2)]) -> JSONResponse[int]:
    return JSONResponse(day)


@get("/tags")
async def list_tags(tag: FromQuery[list[str]] = []) -> JSONResponse[list[str]]:  # noqa: B006 - refused
    return JSONResponse(tag)


@pytest.mark.parametrize(
    ("handler", "sentence"),
    [
        (
            list_pages,
            "list_pages: Litestar ignores the rules in msgspec.Meta of the parameter size: write them in Query",
        ),
        (list_sheets, "list_sheets: Litestar ignores the rules in msgspec.Meta of the parameter size"),
        (list_hours, "list_hours: its parameters cannot be read: Type unions may not contain more than one str-like"),
        (
            list_days,
            "list_days: its parameters cannot be read: Can only set `max_length` on a str, bytes, or collection",
        ),
        (list_tags, "unhashable type: 'list'"),
    ],
)
def test_parameter_that_cannot_be_checked_prevents_startup(handler: ControllerRouterHandler, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        small_application([handler])

    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


@get("/lengths")
async def list_lengths(length: FromQuery[list[Positive]]) -> JSONResponse[list[int]]:
    return JSONResponse(length)


async def test_rules_of_elements_are_checked() -> None:
    async with service_client(small_application([list_lengths])) as client:
        statuses = [(await client.get(f"/lengths?length={length}")).status_code for length in (1, 0)]

    assert statuses == [200, 422]


@get("/waits/{wait:timedelta}")
async def show_wait(wait: FromPath[timedelta]) -> JSONResponse[timedelta]:
    return JSONResponse(wait)


@pytest.mark.parametrize(("wait", "status"), [("PT1H", 200), ("9" * 30, 404), ("P1000000000000D", 404)])
async def test_impossible_duration_in_the_path_is_404(wait: str, status: int) -> None:
    async with service_client(small_application([show_wait])) as client:
        response = await client.get(f"/waits/{wait}")

    assert response.status_code == status
