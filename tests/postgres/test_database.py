"""Rows become objects; their number must be the one that the query's file declares."""

from pathlib import Path

import asyncpg
import attrs
import pytest

from service.postgres.database import Database, WrongCardinalityError
from service.postgres.queries import Count, Many, Maybe, One, Value
from service.problems import SessionEnded
from tests.support.application import OneTransaction
from tests.support.statements import Statements

ROWS = "select id, 'kite ' || id from generate_series(1, {}) as id"


@attrs.define(slots=False)
class Kite:
    """A row."""

    id: int
    kite_name: str | None


@pytest.fixture
def statement(tmp_path: Path) -> Statements:
    return Statements(tmp_path)


@pytest.fixture
def db(one_transaction: OneTransaction, connection: asyncpg.Connection) -> Database:  # noqa: ARG001 - begins the transaction
    return Database(one_transaction)


async def test_one_returns_the_row(db: Database, statement: Statements) -> None:
    query: One[..., Kite] = One(statement("one Kite", ROWS.format(1)), Kite)

    assert await db.one(query) == Kite(1, "kite 1")


@pytest.mark.parametrize("rows", [0, 2])
async def test_one_refuses_zero_or_two_rows(db: Database, statement: Statements, rows: int) -> None:
    query: One[..., Kite] = One(statement("one Kite", ROWS.format(rows)), Kite)

    with pytest.raises(WrongCardinalityError, match=rf"^tests\.query returned {rows} rows instead of one$"):
        await db.one(query)


@pytest.mark.parametrize(
    ("sql", "kite"),
    [(ROWS.format(1), Kite(1, "kite 1")), (ROWS.format(0), None), ("select 1, null::text", Kite(1, None))],
)
async def test_maybe_returns_the_row_or_none(db: Database, statement: Statements, sql: str, kite: Kite | None) -> None:
    query: Maybe[..., Kite] = Maybe(statement("maybe Kite", sql), Kite)

    assert await db.maybe(query) == kite


async def test_maybe_refuses_two_rows(db: Database, statement: Statements) -> None:
    query: Maybe[..., Kite] = Maybe(statement("maybe Kite", ROWS.format(2)), Kite)

    with pytest.raises(WrongCardinalityError, match=r"^tests\.query returned 2 rows instead of one or none$"):
        await db.maybe(query)


@pytest.mark.parametrize(
    ("sql", "kites"),
    [
        (ROWS.format(2), [Kite(1, "kite 1"), Kite(2, "kite 2")]),
        (ROWS.format(0), []),
        ("values (7, null), (1, 'b')", [Kite(7, None), Kite(1, "b")]),
    ],
)
async def test_many_returns_all_rows(db: Database, statement: Statements, sql: str, kites: list[Kite]) -> None:
    query: Many[..., Kite] = Many(statement("many Kite", sql), Kite)

    assert await db.many(query) == kites


@pytest.mark.parametrize(("sql", "value"), [("select 7", 7), ("select null::integer", None)])
async def test_value_returns_the_value(db: Database, statement: Statements, sql: str, value: int | None) -> None:
    query: Value[..., int | None] = Value(statement("value integer?", sql), int)

    assert await db.value(query) == value


@pytest.mark.parametrize("sql", [ROWS.format(0), ROWS.format(1), "select generate_series(1, 2)"])
async def test_value_requires_one_row_and_column(db: Database, statement: Statements, sql: str) -> None:
    query: Value[..., int] = Value(statement("value integer", sql), int)

    with pytest.raises(WrongCardinalityError, match=r"^tests\.query did not return one value$"):
        await db.value(query)


@pytest.mark.parametrize("rows", [0, 3])
async def test_count_returns_the_number_of_changed_rows(
    db: Database, statement: Statements, connection: asyncpg.Connection, rows: int
) -> None:
    await connection.execute("create temporary table numbers as select generate_series(1, 5) as number")
    query: Count[...] = Count(statement("count", "delete from numbers where number <= $1", "most integer"), int)

    assert await db.count(query, rows) == rows


async def test_no_row_for_a_session_is_session_ended(db: Database, statement: Statements) -> None:
    sql = "select user_id from live_session where session_id = $1"
    of_nobody = "2f4f1a52-6a0c-4a63-8d6d-5a5b1f8e2a11"
    one: One[..., Kite] = One(statement("one Kite", sql, "session uuid"), Kite)
    maybe: Maybe[..., Kite] = Maybe(statement("maybe Kite", sql, "session uuid"), Kite)
    many: Many[..., Kite] = Many(statement("many Kite", sql, "session uuid"), Kite)
    value: Value[..., int] = Value(statement("value integer", sql, "session uuid"), int)

    for asking in (
        db.one(one, of_nobody),
        db.maybe(maybe, of_nobody),
        db.many(many, of_nobody),
        db.value(value, of_nobody),
    ):
        with pytest.raises(SessionEnded):
            await asking


async def test_session_row_beginning_with_null_is_none(db: Database, statement: Statements) -> None:
    sql = "select null::bigint, $1::text"
    maybe: Maybe[..., Kite] = Maybe(statement("maybe Kite", sql, "session text"), Kite)
    many: Many[..., Kite] = Many(statement("many Kite", sql, "session text"), Kite)

    assert (await db.maybe(maybe, "live"), await db.many(many, "live")) == (None, [])


async def test_postgresql_error_is_raised_unchanged(db: Database, statement: Statements) -> None:
    query: Value[..., int] = Value(statement("value integer", "select 1 / $1", "divisor integer"), int)

    with pytest.raises(asyncpg.DivisionByZeroError):
        await db.value(query, 0)
