"""Statements that lost to others run again, where PostgreSQL says that they have not happened."""

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from service.problems import Unavailable
from service.queries import Value
from tests.connections.conftest import Backend, Opening, limits
from tests.statements import Statements

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
async def lose(own_database_url: str, statement: Statements) -> AsyncIterator[Backend]:
    """Return the query that fails with a SQLSTATE so many times, and then tells which try it was."""
    admin = await asyncpg.connect(own_database_url)
    await admin.execute(LOSE)
    yield Value(statement("value integer", "select lose($1, $2)", "state text", "times integer"), int)
    await admin.close()


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_a_conflict_is_not_seen(opening: Opening, own_database_url: str, lose: Backend, state: str) -> None:
    db = await opening(own_database_url)

    assert await db.value(lose, state, 3) == 4


async def test_a_conflict_that_does_not_end_is_unavailable(
    opening: Opening, own_database_url: str, lose: Backend
) -> None:
    """The client hears of it when a statement that is slow would have been given up, too."""
    db = await opening(own_database_url)
    began = time.monotonic()

    with limits(WAIT=5, ANSWER=5.5), pytest.raises(Unavailable, match=r"^Too many others change the same$"):
        await db.value(lose, "40001", 1000)

    assert time.monotonic() - began < 5.5
    assert await db.value(lose, "40001", 0) > 2


async def test_a_repetition_that_lacks_time_says_nothing_of_the_host(
    opening: Opening,
    own_database_url: str,
    lose: Backend,  # noqa: ARG001 - which makes the function
    statement: Statements,
) -> None:
    """It was given less time than a statement may take: the other connections are as good as before."""
    db = await opening(own_database_url, size=2)
    backend: Backend = Value(statement("value integer", "select pg_backend_pid() from pg_sleep(0.2)"), int)
    both = set(await asyncio.gather(db.value(backend), db.value(backend)))
    slow: Backend = Value(statement("value text", "select pg_sleep(5 * lose('40001', 1))::text"), int)

    # A second try begins where WAIT is left of ANSWER.
    with limits(WAIT=0, ANSWER=1), pytest.raises(Unavailable) as refusal:
        await db.value(slow)

    assert isinstance(refusal.value.__cause__, TimeoutError)
    assert await db.value(backend) in both


async def test_an_error_of_another_kind_is_not_tried_again(
    opening: Opening, own_database_url: str, lose: Backend
) -> None:
    db = await opening(own_database_url)

    with pytest.raises(asyncpg.UniqueViolationError):
        await db.value(lose, "23505", 1)

    assert await db.value(lose, "23505", 0) == 2
