"""Values of request fields that PostgreSQL rejects are 422 with the field; other rejections are 500."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import attrs
import httpx
import msgspec
import pytest
from litestar import post
from litestar.params import JSONBody

from service.http.database_problems import problem_from_postgres
from service.http.request import ServiceRequest
from service.http.response import JSONResponse
from service.postgres import Database
from service.postgres.queries import Count
from service.problems import InternalError
from tests.support.application import OneTransaction
from tests.support.factories import service_client
from tests.support.small_application import small_application
from tests.support.statements import Statements


@attrs.define
class Part:
    """A part of a body that is an attrs class."""

    label: str


class Toy(msgspec.Struct, forbid_unknown_fields=True):
    """A body whose rules are those of the table."""

    toy_name: str = "bear"
    pieces: int | None = 1
    pieces_lost: int = 0
    mood: str = "toy"  # becomes the column `kind`
    colour: str = msgspec.field(default="red", name="color")
    parts: dict[str, str | Part] = {}
    ages: tuple[int, int] = (3, 99)
    days: int = 1
    size: str = "small"


@pytest.fixture
async def toys(
    connection: asyncpg.Connection, one_transaction: OneTransaction, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that adds rows to a table with rules."""
    await connection.execute("create type pg_temp.size as enum ('small', 'large')")
    await connection.execute("create domain pg_temp.loss as integer check (value < 1000)")
    await connection.reload_schema_state()  # statements of the test before have its type
    await connection.execute(
        "create temporary table toys (toy_name varchar(5), pieces integer not null, pieces_lost pg_temp.loss,"
        " colour text, kind char(3), parts jsonb, ages int4range, until date, size pg_temp.size,"
        " constraint toys_pieces_check check (pieces > 0),"
        " constraint toys_pieces_lost_check check (pieces_lost >= 0),"
        " constraint toys_colour_known check (colour <> 'pink'),"
        " constraint enough check (pieces < 1000), constraint toys__private_check check (pieces <> 999),"
        " constraint toys_kind_check check (kind <> 'no'))"
    )
    add: Count[...] = Count(
        Statements(tmp_path)(
            "count",
            "insert into toys values ($1, $2, $3, $4, $5, $6, $7, date '2026-01-01' + $8::integer, $9)",
            "a text",
            "b integer?",
            "c integer",
            "d text",
            "e text",
            "f jsonb",
            "g int4range",
            "h integer",
            "i pg_temp.size",
        ),
        int,
    )

    @post("/toys")
    async def add_toy(request: ServiceRequest, data: JSONBody[Toy]) -> JSONResponse[Any]:
        texts = data.colour, data.mood, msgspec.json.encode(data.parts).decode()
        others = asyncpg.Range(*data.ages), data.days, data.size
        return JSONResponse(await request.db.count(add, data.toy_name, data.pieces, data.pieces_lost, *texts, *others))

    app = small_application([add_toy])
    app.db = Database(one_transaction)
    async with service_client(app) as client:
        yield client


@pytest.mark.parametrize(
    ("toy", "pointer", "detail"),
    [
        ({"pieces": 0}, "/pieces", "is not an allowed value"),
        ({"pieces_lost": -1}, "/pieces_lost", "is not an allowed value"),
        ({"color": "pink"}, "/color", "is not an allowed value"),
        ({"size": "huge"}, "/size", "is not an allowed value"),
        ({"size": "'s\"m\n"}, "/size", "is not an allowed value"),
        ({"toy_name": "teddy bear"}, "/toy_name", "has more than 5 characters"),
        ({"toy_name": "a\0b"}, "/toy_name", "contains NUL, which cannot be stored"),
        ({"parts": {"ear": "a\0b"}}, "/parts/ear", "contains NUL, which cannot be stored"),
        ({"parts": {"ear": {"label": "a\0b"}}}, "/parts/ear/label", "contains NUL, which cannot be stored"),
    ],
)
async def test_refused_field_is_named_with_422(
    toys: httpx.AsyncClient, toy: dict[str, object], pointer: str, detail: str
) -> None:
    response = await toys.post("/toys", json=toy)

    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-input")
    assert response.json()["errors"] == [{"pointer": pointer, "detail": detail}]


async def test_nul_in_a_key_of_a_document_is_422(toys: httpx.AsyncClient) -> None:
    response = await toys.post("/toys", json={"parts": {"a\0b": "ear"}})

    assert response.status_code == 422
    assert response.json()["detail"] == "A string contains a character that cannot be stored, such as NUL"


@pytest.mark.parametrize(
    ("toy", "detail"),
    [
        ({"ages": [99, 3]}, "A range begins after its end"),
        ({"days": 2**31 - 1}, "A number or a time is out of range"),
        ({"pieces_lost": 1000}, "A value is not one of those allowed"),
    ],
)
async def test_value_that_postgresql_refuses_is_422(
    toys: httpx.AsyncClient, toy: dict[str, object], detail: str
) -> None:
    response = await toys.post("/toys", json=toy)

    assert (response.status_code, response.json()["detail"]) == (422, detail)


@pytest.mark.parametrize(
    ("error", "pointer", "detail"),
    [
        (
            "'Wert zu lang für Typ character varying(5)' using errcode = 'string_data_right_truncation'",
            "/color",
            "has more than 5 characters",
        ),
        (
            "'verletzt »toys_pieces_check«' using errcode = '23514', table = 'toys', constraint = 'toys_pieces_check'",
            "/pieces",
            "is not an allowed value",
        ),
    ],
)
async def test_refused_field_is_named_in_any_language(
    toys: httpx.AsyncClient, connection: asyncpg.Connection, error: str, pointer: str, detail: str
) -> None:
    await connection.execute(
        "create function pg_temp.refuse() returns trigger language plpgsql as"
        f" $$ begin raise {error}; end $$;"
        " create trigger refuse before insert on toys execute function pg_temp.refuse()"
    )

    response = await toys.post("/toys", json={"color": "lavender"})

    assert response.json()["errors"] == [{"pointer": pointer, "detail": detail}]


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("now() at time zone $1", "Mars"),
        ("now() at time zone $1", ""),
        ("now() at time zone $1", 'the "North"\nPole'),
        ("$1::text::timestamptz", "soon"),
        ("$1::text::uuid", "x"),
        ("date_trunc($1, now())", "fortnight"),
    ],
)
async def test_text_that_a_function_refuses_is_named(
    connection: asyncpg.Connection, expression: str, text: str
) -> None:
    with pytest.raises(asyncpg.DataError) as error:
        await connection.fetchval(f"select {expression}", text)

    problem = problem_from_postgres(error.value, {"other": "Earth", "value": text})

    assert problem.errors == [{"pointer": "/value", "detail": "is not an allowed value"}]


async def test_invalid_text_that_no_client_sent_is_a_bug(connection: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.InvalidTextRepresentationError) as error:
        await connection.execute("select 'x'::text::integer")

    assert type(problem_from_postgres(error.value)) is InternalError


@pytest.mark.parametrize(
    "toy",
    [
        {"pieces": 1000},  # a rule that names no column
        {"pieces": 999},  # a rule of a column `_private`
        {"mood": "no"},  # a rule of a column that is not a field
        {"pieces": None},  # a value that the handler should have rejected
    ],
)
@pytest.mark.slow
async def test_other_refusal_is_500(toys: httpx.AsyncClient, toy: dict[str, object]) -> None:
    response = await toys.post("/toys", json=toy)

    assert (response.status_code, response.json()["type"]) == (500, "/problems/internal-error")


async def test_accepted_row_is_added(toys: httpx.AsyncClient) -> None:
    assert (await toys.post("/toys", json={})).json() == 1
