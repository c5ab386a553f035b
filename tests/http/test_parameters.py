"""Missing, unknown, repeated and out-of-range parameters are 422, and all are listed."""

import warnings
from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Annotated, Any, Literal

import httpx
import msgspec
import pytest
from litestar import Request, get, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions.base_exceptions import LitestarDeprecationWarning
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter

from service.http.parameters import check_query
from service.http.response import JSONResponse
from tests.support.factories import service_client
from tests.support.small_application import small_application

WITH_NAME = Annotated[str, HeaderParameter(name="X-Name")]


class Event(msgspec.Struct, forbid_unknown_fields=True):
    """A body with dates."""

    day: date | None = None
    moments: list[datetime] = []


async def check(request: Request[Any, Any, Any]) -> None:
    """Check the query, like the application."""
    check_query(request.route_handler, request.scope["query_string"])


async def page(size: FromQuery[int] = 10) -> int:
    """Return the parameter of a dependency."""
    return size


@get("/needs")
async def needs(size: Annotated[int, QueryParameter(ge=1)], name: WITH_NAME) -> JSONResponse[Any]:
    return JSONResponse([size, name])


@get("/lists", before_request=check)
async def lists(tag: FromQuery[list[str]]) -> JSONResponse[Any]:
    return JSONResponse(tag)


@get("/pages", before_request=check, dependencies={"page": Provide(page)})
async def pages(page: NamedDependency[int]) -> JSONResponse[Any]:
    return JSONResponse(page)


@get("/moods")
async def moods(
    mood: Annotated[Literal["good"], QueryParameter(name="state")], code: Annotated[int, HeaderParameter(name="X-Code")]
) -> JSONResponse[Any]:
    return JSONResponse([mood, code])


@get("/shops", dependencies={"page": Provide(page)})
async def shops(page: NamedDependency[int], city: FromQuery[str]) -> JSONResponse[Any]:
    return JSONResponse([page, city])


@get("/days", before_request=check)
async def days(day: FromQuery[date | None] = None, at: FromQuery[datetime | None] = None) -> JSONResponse[Any]:
    return JSONResponse([day, at])


@get("/days/{day:date}")
async def one_day(day: FromPath[date]) -> JSONResponse[Any]:
    return JSONResponse(day)


@post("/events")
async def add_event(data: JSONBody[Event]) -> JSONResponse[Any]:
    return JSONResponse(data)


@pytest.fixture(scope="module")
async def small() -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of an application with one handler for each kind of parameter."""
    async with service_client(
        small_application([needs, lists, pages, moods, shops, days, one_day, add_event])
    ) as client:
        yield client


async def test_missing_parameters_are_named_with_422(small: httpx.AsyncClient) -> None:
    response = await small.get("/needs")

    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-input")
    assert response.json()["errors"] == [
        {"pointer": "/size", "detail": "is missing"},
        {"pointer": "/X-Name", "detail": "is missing"},
    ]


@pytest.mark.parametrize("query", ["", "?size=", "?size=none", "?size=0"])
async def test_missing_and_wrong_parameter_have_one_status(small: httpx.AsyncClient, query: str) -> None:
    response = await small.get(f"/needs{query}", headers={"X-Name": "Ada"})

    assert (response.status_code, [each["pointer"] for each in response.json()["errors"]]) == (422, ["/size"])


async def test_all_unknown_parameters_are_named(small: httpx.AsyncClient) -> None:
    response = await small.get("/lists?tag=a&size=1&name=x")

    assert [each["pointer"] for each in response.json()["errors"]] == ["/size", "/name"]


async def test_up_to_20_errors_are_listed(small: httpx.AsyncClient) -> None:
    infinite = {"moments": ["9999-12-31T23:59:59.999999Z"] * 1000}

    responses = [await small.get("/lists?tag=a" + "&size" * 1000), await small.post("/events", json=infinite)]

    for response in responses:
        assert (response.status_code, len(response.json()["errors"])) == (422, 20)
        assert len(response.content) < 4000


async def test_list_parameter_can_be_repeated(small: httpx.AsyncClient) -> None:
    assert (await small.get("/lists?tag=a&tag=b")).json() == ["a", "b"]


@pytest.mark.parametrize("query", ["tag=%ff", "tag=a%c3&tag=%c3%a9", "tag=%ed%a0%80"])
async def test_value_that_is_not_utf_8_is_named(small: httpx.AsyncClient, query: str) -> None:
    response = await small.get(f"/lists?{query}")

    assert (response.status_code, response.json()["detail"]) == (422, "/tag: is not UTF-8")


async def test_parameter_of_a_dependency_is_known(small: httpx.AsyncClient) -> None:
    assert (await small.get("/pages?size=3")).json() == 3


async def test_wrong_parameter_is_named_as_the_client_sent_it(small: httpx.AsyncClient) -> None:
    response = await small.get("/moods?state=odd", headers={"X-Code": "none"})

    assert [each["pointer"] for each in response.json()["errors"]] == ["/state", "/X-Code"]


async def test_dependency_is_not_reported_as_missing(small: httpx.AsyncClient) -> None:
    response = await small.get("/shops")

    assert [each["pointer"] for each in response.json()["errors"]] == ["/city"]


async def test_dependency_cannot_be_sent_as_a_parameter(small: httpx.AsyncClient) -> None:
    response = await small.get("/pages?page=3")

    assert [each["pointer"] for each in response.json()["errors"]] == ["/page"]


async def test_undeclared_parameter_is_known(recwarn: pytest.WarningsRecorder) -> None:
    """Litestar takes it from the query and logs a warning."""
    warnings.simplefilter("always", LitestarDeprecationWarning)

    @get("/bare", before_request=check)
    async def bare(size: int = 1) -> JSONResponse[Any]:
        return JSONResponse(size)

    async with service_client(small_application([bare])) as client:
        assert (await client.get("/bare?size=3")).json() == 3
        assert (await client.get("/bare?request=3")).status_code == 422
    assert recwarn.pop(LitestarDeprecationWarning).category is LitestarDeprecationWarning


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("day=9999-12-31", "/day"),
        ("day=0001-01-01", "/day"),
        ("at=9999-12-31T23:59:59.999999", "/at"),
        ("at=9999-12-31T23:59:59.999999Z", "/at"),
        ("at=0001-01-01T00:00:00%2B12:00", "/at"),
    ],
)
async def test_infinite_date_in_the_query_is_422(small: httpx.AsyncClient, query: str, pointer: str) -> None:
    response = await small.get(f"/days?{query}")

    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": pointer, "detail": "is out of range"}]


@pytest.mark.parametrize(("query", "status"), [("day=9999-12-30&at=9999-12-31T23:59:59Z", 200), ("day=soon", 422)])
async def test_other_dates_are_unchanged(small: httpx.AsyncClient, query: str, status: int) -> None:
    assert (await small.get(f"/days?{query}")).status_code == status


@pytest.mark.parametrize(("day", "status"), [("2026-01-31", 200), ("9999-12-31", 404), ("soon", 404)])
async def test_infinite_date_in_the_path_is_404(small: httpx.AsyncClient, day: str, status: int) -> None:
    assert (await small.get(f"/days/{day}")).status_code == status


async def test_infinite_dates_in_a_body_are_named(small: httpx.AsyncClient) -> None:
    moments = ["2026-01-31T12:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00"]

    response = await small.post("/events", json={"day": "9999-12-31", "moments": moments})

    assert response.status_code == 422
    assert [each["pointer"] for each in response.json()["errors"]] == ["/day", "/moments/1", "/moments/2"]


async def test_finite_dates_in_a_body_are_taken(small: httpx.AsyncClient) -> None:
    event = {"day": "9999-12-30", "moments": ["9999-12-31T23:59:59Z"]}

    assert (await small.post("/events", json=event)).json() == event
