"""Values that PostgreSQL rejects are 422 with their place: parameters, fields of any class, sets."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import attrs
import httpx
import msgspec
import pytest
from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.http.request import ServiceRequest
from service.http.response import JSONResponse
from service.postgres import Database
from service.postgres.queries import Count
from tests.support.application import OneTransaction
from tests.support.factories import service_client
from tests.support.small_application import small_application
from tests.support.statements import Statements


@attrs.define
class Stop:
    """A part of a body."""

    place: str = ""


@dataclass
class Guide:
    """Another part."""

    seats: int = 1


class Trip(msgspec.Struct):
    """A body of many kinds of parts."""

    stop: Stop = msgspec.field(default_factory=Stop)
    guide: Guide = msgspec.field(default_factory=Guide)
    tags: set[str] = set()
    address: str = "::1"
    weight: float = 1.0


@pytest.fixture
async def trips(
    connection: asyncpg.Connection, one_transaction: OneTransaction, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that adds rows to a table with rules."""
    await connection.execute(
        "create temporary table trips (seats integer, place varchar(5), address inet, weight real,"
        " constraint trips_seats_check check (seats > 0))"
    )
    sql = "insert into trips values ($1, $2, $3, $4)"
    add: Count[...] = Count(
        Statements(tmp_path)("count", sql, "a integer", "b text", "c inet", "d real"),
        int,
    )

    @post("/trips")
    async def add_trip(request: ServiceRequest, data: JSONBody[Trip]) -> JSONResponse[Any]:
        for text in (data.stop.place, *data.tags):
            await request.db.count(add, data.guide.seats, text, data.address, data.weight)
        return JSONResponse(None)

    @get("/trips/{place:str}")
    async def add_sent(
        request: ServiceRequest,
        place: FromPath[str],
        seats: Annotated[int, QueryParameter(name="for")] = 1,
    ) -> JSONResponse[Any]:
        await request.db.count(add, seats, place, "::1", 1.0)
        return JSONResponse(None)

    app = small_application([add_trip, add_sent])
    app.db = Database(one_transaction)
    async with service_client(app) as client:
        yield client


@pytest.mark.parametrize(
    ("trip", "pointer", "detail"),
    [
        ({"stop": {"place": "too long"}}, "/stop/place", "has more than 5 characters"),
        ({"guide": {"seats": 0}}, "/guide/seats", "is not an allowed value"),
        ({"tags": ["a", "too long"]}, "/tags", "has more than 5 characters"),
    ],
)
async def test_refused_field_of_any_class_is_named(
    trips: httpx.AsyncClient, trip: dict[str, object], pointer: str, detail: str
) -> None:
    response = await trips.post("/trips", json=trip)

    assert (response.status_code, response.json()["errors"]) == (422, [{"pointer": pointer, "detail": detail}])


@pytest.mark.parametrize(
    ("path", "pointer", "detail"),
    [
        ("/trips/Rome?for=0", "/for", "is not an allowed value"),
        ("/trips/Samarkand", "/place", "has more than 5 characters"),
        ("/trips/a%00b", "/place", "contains NUL, which cannot be stored"),
    ],
)
async def test_refused_parameter_is_named(trips: httpx.AsyncClient, path: str, pointer: str, detail: str) -> None:
    response = await trips.get(path)

    assert (response.status_code, response.json()["errors"]) == (422, [{"pointer": pointer, "detail": detail}])


@pytest.mark.parametrize("trip", [{"address": "home"}, {"weight": 1e300}])
async def test_value_that_cannot_be_sent_to_postgresql_is_422(
    trips: httpx.AsyncClient, trip: dict[str, object]
) -> None:
    response = await trips.post("/trips", json=trip)

    assert (response.status_code, response.json()["detail"]) == (422, "A value is not valid")
