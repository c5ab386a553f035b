"""Values deep in a body that PostgreSQL rejects are 422 with the field; of a list's elements, the list is named."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from litestar import post
from litestar.params import JSONBody

from service.http.request import ServiceRequest
from service.http.response import JSONResponse
from service.postgres import Database
from service.postgres.queries import Count
from tests.support.application import OneTransaction
from tests.support.factories import service_client
from tests.support.small_application import small_application
from tests.support.statements import Statements


class Line(msgspec.Struct):
    """An element of a list."""

    quantity: int = 1
    note: str = ""
    tags: list[str] = []


class Recipient(msgspec.Struct):
    """An object in a body."""

    postcode: int = 10115
    quantity: int | msgspec.UnsetType | None = msgspec.UNSET


class Order(msgspec.Struct):
    """A body of objects and lists."""

    lines: list[Line] = []
    recipient: Recipient = msgspec.field(default_factory=Recipient, name="ship/to")
    by_shop: dict[str, Line] = {}


@pytest.fixture
async def orders(
    connection: asyncpg.Connection, one_transaction: OneTransaction, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that adds the lines of orders to a table with rules."""
    await connection.execute(
        "create temporary table order_lines (quantity integer, postcode integer, note varchar(5),"
        " constraint order_lines_quantity_check check (quantity > 0),"
        " constraint order_lines_postcode_check check (postcode > 0))"
    )
    add: Count[...] = Count(
        Statements(tmp_path)(
            "count", "insert into order_lines values ($1, $2, $3)", "a integer", "b integer", "c text"
        ),
        int,
    )

    async def add_lines(request: ServiceRequest, lines: Iterable[Line], postcode: int = 1) -> JSONResponse[Any]:
        for line in lines:
            for text in (line.note, *line.tags):
                await request.db.count(add, line.quantity, postcode, text)
        return JSONResponse(None)

    @post("/orders")
    async def add_order(request: ServiceRequest, data: JSONBody[Order]) -> JSONResponse[Any]:
        return await add_lines(request, [*data.lines, *data.by_shop.values()], data.recipient.postcode)

    @post("/lines")
    async def add_all(request: ServiceRequest, data: JSONBody[list[Line]]) -> JSONResponse[Any]:
        return await add_lines(request, data)

    @post("/note")
    async def add_note(request: ServiceRequest, data: JSONBody[str]) -> JSONResponse[Any]:
        return await add_lines(request, [Line(note=data)])

    app = small_application([add_order, add_all, add_note])
    app.db = Database(one_transaction)
    async with service_client(app) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body", "pointer", "detail"),
    [
        ("/orders", {"lines": [{"quantity": 0}], "ship/to": {"quantity": None}}, "/lines", "is not an allowed value"),
        ("/orders", {"lines": [{}], "ship/to": {"postcode": 0}}, "/ship~1to/postcode", "is not an allowed value"),
        ("/orders", {"by_shop": {"a": {"quantity": 0}}}, "/by_shop", "is not an allowed value"),
        ("/lines", [{}, {"quantity": 0}], "", "is not an allowed value"),
        ("/orders", {"lines": [{}, {"note": "too long"}]}, "/lines/1/note", "has more than 5 characters"),
        ("/orders", {"lines": [{"tags": ["a", "too long"]}]}, "/lines/0/tags/1", "has more than 5 characters"),
        ("/orders", {"by_shop": {"a/b": {"note": "too long"}}}, "/by_shop/a~1b/note", "has more than 5 characters"),
        ("/lines", [{}, {"note": "too long"}], "/1/note", "has more than 5 characters"),
        ("/note", "too long", "", "has more than 5 characters"),
    ],
)
async def test_refused_part_is_named_with_422(
    orders: httpx.AsyncClient, path: str, body: object, pointer: str, detail: str
) -> None:
    response = await orders.post(path, json=body)

    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": pointer, "detail": detail}]


async def test_number_of_refused_parts_is_limited(orders: httpx.AsyncClient) -> None:
    response = await orders.post("/lines", json=[{"note": "too long"}] * 30)

    assert len(response.json()["errors"]) == 20


async def test_accepted_parts_are_added(orders: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    await orders.post("/orders", json={"lines": [{"tags": ["a", "b"]}]})

    assert await connection.fetchval("select count(*) from order_lines") == 3
