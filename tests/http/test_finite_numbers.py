"""NaN and infinite numbers, which PostgreSQL would store, are refused: its NaN passes a CHECK such as price > 0."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Request, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from service.http import ServiceRequest, read_form
from service.http.parameters import check_query
from service.http.response import JSONResponse
from tests.support.factories import service_client
from tests.support.small_application import small_application


class Offer(msgspec.Struct):
    """A body with prices."""

    price: Decimal
    others: list[Decimal] = []


async def check(request: Request[Any, Any, Any]) -> None:
    """Check the query, like the application."""
    check_query(request.route_handler, request.scope["query_string"])


@get("/prices", before_request=check)
async def prices(price: FromQuery[Decimal | None] = None, rate: FromQuery[float] = 1.0) -> JSONResponse[Any]:
    return JSONResponse([price, rate])


@get("/prices/{price:decimal}")
async def one_price(price: FromPath[Decimal]) -> JSONResponse[Any]:
    return JSONResponse(price)


@get("/rates/{rate:float}")
async def one_rate(rate: FromPath[float]) -> JSONResponse[Any]:
    return JSONResponse(rate)


@post("/offers")
async def add_offer(data: JSONBody[Offer]) -> JSONResponse[Any]:
    return JSONResponse(data)


@post("/forms")
async def add_form(request: ServiceRequest) -> JSONResponse[Any]:
    return JSONResponse(await read_form(request, Offer))


@pytest.fixture(scope="module")
async def small() -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of an application with a handler for each place of a number."""
    async with service_client(small_application([prices, one_price, one_rate, add_offer, add_form])) as client:
        yield client


async def test_infinite_numbers_in_a_body_are_named(small: httpx.AsyncClient) -> None:
    response = await small.post("/offers", json={"price": "NaN", "others": ["1.5", "Infinity", "-sNaN"]})

    assert response.status_code == 422
    assert [each["pointer"] for each in response.json()["errors"]] == ["/price", "/others/1", "/others/2"]


async def test_nan_in_a_form_is_named(small: httpx.AsyncClient) -> None:
    response = await small.post("/forms", data={"price": "NaN"})

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/price")


@pytest.mark.parametrize(
    ("query", "pointer"), [("price=NaN", "/price"), ("price=-inf", "/price"), ("rate=nan", "/rate")]
)
async def test_infinite_number_in_the_query_is_422(small: httpx.AsyncClient, query: str, pointer: str) -> None:
    response = await small.get(f"/prices?{query}")

    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": pointer, "detail": "is out of range"}]


@pytest.mark.parametrize(
    "path", ["/prices/NaN", "/prices/x", "/prices/1_0", "/rates/inf", "/rates/x", f"/rates/{'9' * 400}"]
)
async def test_odd_number_in_the_path_is_404(small: httpx.AsyncClient, path: str) -> None:
    assert (await small.get(path)).status_code == 404


async def test_finite_numbers_are_taken(small: httpx.AsyncClient) -> None:
    offer = {"price": "-12.50", "others": ["1E+2"]}

    assert (await small.post("/offers", json=offer)).json() == offer
    assert (await small.get("/prices?price=1.50&rate=2.5")).json() == ["1.50", 2.5]
    assert [(await small.get(path)).json() for path in ("/prices/-1.50", "/rates/2.5")] == ["-1.50", 2.5]
