"""Several statements as one transaction: committed together, or not at all."""

# ruff: noqa: PT012 - a transaction that fails is a block of several statements

import asyncio

import asyncpg
import pytest

from service.postgres.database import Database, Queries
from service.postgres.queries import Value
from service.problems import Unavailable
from service.telemetry.context import RequestContext, current
from service.timeouts import DatabaseTimeouts
from tests.postgres.transactions.conftest import Things
from tests.support.application import OneTransaction
from tests.support.backends import wait_until_gone
from tests.support.pools import Backend, Opening
from tests.support.statements import Statements


async def test_transaction_is_committed_at_its_end(db: Database, things: Things, backend: Backend) -> None:
    async with db.transaction() as tx:
        await tx.count(things.add, 1)
        await tx.count(things.add, 2)
        pids = [await tx.value(backend), await tx.value(backend)]
        before = await things.added()

    assert (before, await things.added()) == ([], [1, 2])
    assert len(set(pids)) == 1


async def test_exception_rolls_back_and_keeps_the_connection(db: Database, things: Things, backend: Backend) -> None:
    pid = await db.value(backend)

    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            await tx.count(things.add, 1)
            raise ZeroDivisionError

    assert await things.added() == []
    assert await db.value(backend) == pid


async def test_refused_statement_rolls_back(db: Database, things: Things, backend: Backend) -> None:
    pid = await db.value(backend)

    with pytest.raises(asyncpg.UniqueViolationError):
        async with db.transaction() as tx:
            await tx.count(things.add, 1)
            await tx.count(things.add, 1)

    assert await things.added() == []
    assert await db.value(backend) == pid


async def test_caught_error_is_raised_at_the_end(db: Database, things: Things) -> None:
    """PostgreSQL would roll back, and only the command tag of COMMIT would say so."""
    with pytest.raises(asyncpg.UniqueViolationError):
        async with db.transaction() as tx:
            await tx.count(things.add, 1)
            with pytest.raises(asyncpg.UniqueViolationError):
                await tx.count(things.add, 1)
            with pytest.raises(asyncpg.InFailedSQLTransactionError):
                await tx.count(things.add, 2)

    assert await things.added() == []


async def test_caught_error_fails_a_rolled_back_test_alike(things: Things) -> None:
    pool = OneTransaction()
    pool.connection = things.admin

    with pytest.raises(asyncpg.UniqueViolationError):
        async with Database(pool).transaction() as tx:
            with pytest.raises(asyncpg.UniqueViolationError):
                await tx.count(things.add, 100)
            with pytest.raises(asyncpg.InFailedSQLTransactionError):
                await tx.count(things.add, 1)

    assert await things.added() == []


async def test_refused_commit_is_raised(db: Database, things: Things, backend: Backend) -> None:
    pid = await db.value(backend)

    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with db.transaction() as tx:
            await tx.count(things.add, 1)
            await tx.count(things.orphan)

    assert await things.added() == []
    assert await db.value(backend) == pid


@pytest.mark.parametrize("in_statement", [True, False])
async def test_cancellation_rolls_back(
    db: Database, things: Things, sleep: Backend, backend: Backend, *, in_statement: bool
) -> None:
    async def work() -> None:
        async with db.transaction() as tx:
            pids.append(await tx.value(backend))
            await tx.count(things.add, 1)
            await (tx.value(sleep, 60) if in_statement else asyncio.Event().wait())

    pids: list[int] = []
    working = asyncio.create_task(work())
    ready = "select true from pg_stat_activity where pid = $1 and (wait_event = 'PgSleep' or state ~ 'in transaction')"
    while not pids or not await things.admin.fetchval(ready, pids[0]):  # noqa: ASYNC110 - a state without an event
        await asyncio.sleep(0)

    working.cancel()
    await asyncio.wait([working])

    assert working.cancelled()
    await wait_until_gone(things.admin, pids[0])
    assert await things.added() == []
    async with db.transaction() as tx:
        await tx.count(things.add, 1)


@pytest.mark.slow
async def test_transaction_needs_a_free_connection(
    opening: Opening, empty_database_url: str, things: Things, backend: Backend
) -> None:
    db = await opening(empty_database_url, size=1, timeouts=DatabaseTimeouts(acquire=1, query=30))

    async with db.transaction() as tx:
        for attempt in (db.transaction().__aenter__(), db.value(backend)):
            with pytest.raises(Unavailable):
                await attempt
        await tx.count(things.add, 1)

    assert await things.added() == [1]


@pytest.mark.slow
async def test_transaction_ends_within_the_time_of_its_request(
    opening: Opening, empty_database_url: str, things: Things, sleep: Backend
) -> None:
    db = await opening(empty_database_url, timeouts=DatabaseTimeouts(acquire=1, query=1))
    request = RequestContext("of one transaction")

    async def work() -> None:
        current.set(request)
        async with db.transaction() as tx:
            await tx.count(things.add, 1)
            for _ in range(4):
                await tx.value(sleep, 0.7)

    with pytest.raises(Unavailable) as refusal:
        await asyncio.create_task(work())

    assert isinstance(refusal.value.__cause__, TimeoutError)
    assert 1.9 < request.budget_used < 3
    assert await things.added() == []


async def stale_query(db: Database, things: Things, statement: Statements) -> Value[..., int]:
    """Return a query that is prepared for columns as they no longer are."""
    query: Value[..., int] = Value(statement("value integer", "select * from things where thing = 100"), int)
    await db.value(query)
    await things.admin.execute("alter table things alter column thing type bigint")
    return query


async def test_stale_statement_is_unavailable_once(
    opening: Opening, empty_database_url: str, things: Things, statement: Statements
) -> None:
    db = await opening(empty_database_url, size=1)
    everything = await stale_query(db, things, statement)

    with pytest.raises(Unavailable):
        async with db.transaction() as tx:
            await tx.value(everything)

    async with db.transaction() as tx:
        assert await tx.value(everything) == 100


async def test_transaction_with_stale_statement_runs_again(
    opening: Opening, empty_database_url: str, things: Things, statement: Statements
) -> None:
    db = await opening(empty_database_url, size=1)
    everything = await stale_query(db, things, statement)

    async def work(tx: Queries) -> int:
        await tx.count(things.add, 1)
        return await tx.value(everything)

    assert await db.run_transaction(work) == 100
    assert await things.added() == [1]
