"""The traceback of an error names the query and, if an argument has a wrong type, its parameter."""

from traceback import format_exception_only

import asyncpg
import pytest

from service.postgres.queries import Value
from tests.support.pools import Opening
from tests.support.statements import Statements


@pytest.mark.parametrize("statement_cache", [0, 100])
@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        ((1, 2), "query tests.query, parameter $2 price_text text"),
        ((1,), "query tests.query"),  # too few
        ((0, "a"), "query tests.query"),  # an error of PostgreSQL
    ],
)
async def test_failed_query_is_named(
    opening: Opening, statement: Statements, statement_cache: int, arguments: tuple[object, ...], note: str
) -> None:
    db = await opening(statement_cache=statement_cache)
    parameters = "divisor integer", "price_text text"
    query: Value[..., str] = Value(statement("value text", "select (1 / $1)::text || $2", *parameters), str)

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as refusal:
        await db.value(query, *arguments)

    assert format_exception_only(refusal.value)[1:] == [f"{note}\n"]


async def test_failed_query_of_a_transaction_is_named(opening: Opening, statement: Statements) -> None:
    db = await opening()
    query: Value[..., str] = Value(statement("value text", "select $1::text", "word text"), str)

    with pytest.raises(asyncpg.DataError) as refusal:
        async with db.transaction() as tx:
            await tx.value(query, 1)

    assert format_exception_only(refusal.value)[1:] == ["query tests.query, parameter $1 word text\n"]
