"""Statements that lost to a concurrent transaction, and so were rolled back, are retried."""

import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from service.postgres.queries import Value
from service.problems import Unavailable
from service.timeouts import DatabaseTimeouts
from tests.support.pools import Backend, Opening
from tests.support.statements import Statements

LOSE = """
    create sequence tries;
    create function lose(state text, times integer) returns integer language plpgsql as $$
        begin
            if nextval('tries') <= times then raise exception using errcode = state; end if;
            return currval('tries');
        end
    $$;
"""


@pytest.fixture
async def own_admin(own_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Return a connection outside the pool."""
    connection = await asyncpg.connect(own_database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def lose(own_admin: asyncpg.Connection, statement: Statements) -> Backend:
    """Return a query that fails with a SQLSTATE several times, and then returns the number of the attempt."""
    await own_admin.execute(LOSE)
    return Value(statement("value integer", "select lose($1, $2)", "state text", "times integer"), int)


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_conflict_is_retried(opening: Opening, own_database_url: str, lose: Backend, state: str) -> None:
    db = await opening(own_database_url)

    assert await db.value(lose, state, 3) == 4


async def test_endless_conflict_is_unavailable(opening: Opening, own_database_url: str, lose: Backend) -> None:
    """The error comes no later than that of a slow statement."""
    db = await opening(own_database_url, timeouts=DatabaseTimeouts(acquire=5, query=0.5))
    began = time.monotonic()

    with pytest.raises(Unavailable, match=r"^Too many concurrent changes to the same rows$"):
        await db.value(lose, "40001", 1000)

    assert time.monotonic() - began < 5.5
    assert await db.value(lose, "40001", 0) > 2


async def test_other_errors_are_not_retried(opening: Opening, own_database_url: str, lose: Backend) -> None:
    db = await opening(own_database_url)

    with pytest.raises(asyncpg.UniqueViolationError):
        await db.value(lose, "23505", 1)

    assert await db.value(lose, "23505", 0) == 2


async def test_persistent_stale_type_is_an_internal_error(
    opening: Opening, own_database_url: str, own_admin: asyncpg.Connection, statement: Statements
) -> None:
    """As Unavailable, it would reach no log."""
    await own_admin.execute(
        "create function broken() returns integer language plpgsql as"
        " $$ begin raise internal_error using message = 'cache lookup failed for type 77'; end $$"
    )
    broken: Backend = Value(statement("value integer", "select broken()"), int)
    db = await opening(own_database_url)

    with pytest.raises(asyncpg.InternalServerError):
        await db.value(broken)
