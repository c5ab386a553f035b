"""Several statements as one transaction: committed together, or not at all."""

# ruff: noqa: PT012 - a transaction that fails is a block of several statements

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import attrs
import pytest

from service.embedded import EmbeddedPostgres
from service.postgres.database import MAX_RETRIES, Database, Queries
from service.postgres.queries import Count, Value
from service.problems import Unavailable
from service.telemetry.context import RequestContext, current
from service.timeouts import DatabaseTimeouts
from tests.support.backends import frozen, terminate, wait_until_gone, wait_until_running
from tests.support.pools import PATIENT, Backend, Opening, url_with_hosts
from tests.support.relay import Relay
from tests.support.statements import Statements

SCHEMA = """
    create table things (thing integer primary key);
    create table parts (thing integer references things deferrable initially deferred);
    insert into things values (100), (200);
"""


@attrs.frozen
class Things:
    """A table of things, and the queries that change it."""

    admin: asyncpg.Connection
    add: Count[...]
    change: Count[...]
    orphan: Count[...]

    async def added(self) -> list[int]:
        """Return the committed things, without the initial ones."""
        return [thing for (thing,) in await self.admin.fetch("select thing from things where thing < 100 order by 1")]


@pytest.fixture
async def things(empty_database_url: str, statement: Statements) -> AsyncIterator[Things]:
    admin = await asyncpg.connect(empty_database_url)
    await admin.execute(SCHEMA)
    add: Count[...] = Count(statement("count", "insert into things values ($1)", "thing integer"), int)
    text = "update things set thing = thing where thing = $1"
    change: Count[...] = Count(statement("count", text, "thing integer"), int)
    orphan: Count[...] = Count(statement("count", "insert into parts values (-1)"), int)
    yield Things(admin, add, change, orphan)
    await admin.close()


@pytest.fixture
async def db(opening: Opening, empty_database_url: str, things: Things) -> Database:  # noqa: ARG001 - makes the tables
    return await opening(empty_database_url)


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


async def test_refused_commit_is_raised(db: Database, things: Things, backend: Backend) -> None:
    pid = await db.value(backend)

    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with db.transaction() as tx:
            await tx.count(things.add, 1)
            await tx.count(things.orphan)

    assert await things.added() == []
    assert await db.value(backend) == pid


async def test_lost_idle_connection_is_not_used(db: Database, things: Things, backend: Backend) -> None:
    pid = await db.value(backend)
    await terminate(things.admin, pid)

    async with db.transaction() as tx:
        assert await tx.value(backend) != pid


async def test_silence_at_begin_is_unavailable(
    opening: Opening, empty_database_url: str, things: Things, backend: Backend
) -> None:
    db = await opening(empty_database_url, timeouts=attrs.evolve(PATIENT, query=1, close_silent=0.1, close_all=0.1))
    pid = await db.value(backend)

    with frozen(pid), pytest.raises(Unavailable):
        async with db.transaction() as tx:
            await tx.count(things.add, 1)

    assert await things.added() == []


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


async def test_rollback_that_fails_closes_the_connection(db: Database, things: Things, backend: Backend) -> None:
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            pid = await tx.value(backend)
            await terminate(things.admin, pid)
            raise ZeroDivisionError

    assert await db.value(backend) != pid


async def test_cancelled_rollback_closes_the_connection(
    opening: Opening, empty_database_url: str, server: EmbeddedPostgres, things: Things
) -> None:
    relay = Relay(server)

    async def fail() -> None:
        async with db.transaction() as tx:
            await tx.count(things.add, 1)
            relay.delay = 60
            failing.set()
            raise ZeroDivisionError

    failing = asyncio.Event()
    async with relay.listen() as port:
        url = url_with_hosts(empty_database_url, server, f"127.0.0.1:{port}") + "?sslmode=disable"
        db = await opening(url, timeouts=attrs.evolve(PATIENT, close=0.1, close_all=0.1))
        work = asyncio.create_task(fail())
        await failing.wait()
        await asyncio.sleep(0)

        work.cancel()
        await asyncio.wait([work])

    assert work.cancelled()


async def test_connection_lost_while_idle_is_replaced_at_begin(
    opening: Opening, empty_database_url: str, server: EmbeddedPostgres, things: Things
) -> None:
    """Nothing was sent before."""
    relay = Relay(server)
    async with relay.listen() as port:
        url = url_with_hosts(empty_database_url, server, f"127.0.0.1:{port}") + "?sslmode=disable"
        db = await opening(url)
        await db.count(things.add, 1)
        relay.cut_at = b"begin"

        async with db.transaction() as tx:
            await tx.count(things.add, 2)

    assert await things.added() == [1, 2]


async def test_connection_lost_in_a_step_is_unavailable(db: Database, things: Things, sleep: Backend) -> None:
    """Nothing is committed, even if the caller catches the error."""

    async def work() -> None:
        async with db.transaction() as tx:
            await tx.count(things.add, 1)
            with pytest.raises(Unavailable):
                await tx.value(sleep, 60)

    working = asyncio.create_task(work())
    await terminate(things.admin, await wait_until_running(things.admin))

    with pytest.raises(Unavailable) as refusal:
        await working

    assert isinstance(refusal.value.__cause__, asyncpg.PostgresError)
    assert await things.added() == []


@pytest.mark.parametrize("before_commit", [False, True])
async def test_connection_lost_between_steps_is_unavailable(
    db: Database, things: Things, backend: Backend, *, before_commit: bool
) -> None:
    with pytest.raises(Unavailable):
        async with db.transaction() as tx:
            await tx.count(things.add, 1)
            await terminate(things.admin, await tx.value(backend))
            connection = tx._executor.pooled.connection  # type: ignore[attr-defined]  # noqa: SLF001 - a Transaction's own
            while not connection.is_closed():  # noqa: ASYNC110 - asyncpg has no event for it
                await asyncio.sleep(0)
            if not before_commit:
                await tx.count(things.add, 2)

    assert await things.added() == []


@pytest.mark.parametrize(("late", "committed"), [(False, []), (True, [1])])
async def test_connection_lost_at_the_commit_is_unavailable(
    opening: Opening,
    empty_database_url: str,
    server: EmbeddedPostgres,
    things: Things,
    *,
    late: bool,
    committed: list[int],
) -> None:
    """It is unknown whether it is committed, so it is not retried."""
    relay = Relay(server, cut_at=b"commit", cut_late=late)
    async with relay.listen() as port:
        db = await opening(url_with_hosts(empty_database_url, server, f"127.0.0.1:{port}") + "?sslmode=disable")

        with pytest.raises(Unavailable):
            async with db.transaction() as tx:
                await tx.count(things.add, 1)

        assert await things.added() == committed


async def test_deadlock_rolls_one_transaction_back(opening: Opening, empty_database_url: str, things: Things) -> None:
    db = await opening(f"{empty_database_url}&deadlock_timeout=50ms", size=2)
    both_hold_one = asyncio.Barrier(2)

    async def work(one: int, other: int, added: int) -> None:
        async with db.transaction() as tx:
            await tx.count(things.add, added)
            await tx.count(things.change, one)
            await both_hold_one.wait()
            await tx.count(things.change, other)

    outcomes = await asyncio.gather(work(100, 200, 1), work(200, 100, 2), return_exceptions=True)

    refused = [each for each in outcomes if each]
    assert [str(each) for each in refused] == ["Too many concurrent changes to the same rows"]
    assert isinstance(refused[0], Unavailable)
    assert await things.added() == [2 if outcomes[0] else 1]


async def test_deadlocked_transaction_runs_again(opening: Opening, empty_database_url: str, things: Things) -> None:
    db = await opening(f"{empty_database_url}&deadlock_timeout=50ms", size=2)
    both_hold_one = asyncio.Barrier(2)
    runs: list[int] = []

    async def work(one: int, other: int, added: int, tx: Queries) -> None:
        runs.append(added)
        await tx.count(things.add, added)
        await tx.count(things.change, one)
        if len(runs) <= 2:
            await both_hold_one.wait()
        await tx.count(things.change, other)

    await asyncio.gather(db.run_transaction(partial(work, 100, 200, 1)), db.run_transaction(partial(work, 200, 100, 2)))

    assert await things.added() == [1, 2]
    assert len(runs) == 3


async def test_endlessly_conflicting_transaction_is_unavailable(
    db: Database, things: Things, statement: Statements
) -> None:
    await things.admin.execute(
        "create function lose() returns integer language plpgsql as $$ begin raise serialization_failure; end $$"
    )
    lose: Value[..., int] = Value(statement("value integer", "select lose()"), int)
    runs = 0

    async def work(tx: Queries) -> None:
        nonlocal runs
        runs += 1
        await tx.value(lose)

    with pytest.raises(Unavailable, match="Too many concurrent changes"):
        await db.run_transaction(work)

    assert runs == 1 + MAX_RETRIES


async def test_unconfirmed_commit_is_not_run_again(
    opening: Opening, empty_database_url: str, server: EmbeddedPostgres, things: Things
) -> None:
    runs = 0

    async def work(tx: Queries) -> None:
        nonlocal runs
        runs += 1
        await tx.count(things.add, runs)

    relay = Relay(server, cut_at=b"commit", cut_late=True)
    async with relay.listen() as port:
        db = await opening(url_with_hosts(empty_database_url, server, f"127.0.0.1:{port}") + "?sslmode=disable")

        with pytest.raises(Unavailable):
            await db.run_transaction(work)

    assert await things.added() == [1]


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
    assert 1.9 < request.database_used < 3
    assert await things.added() == []


async def test_stale_statement_is_unavailable_once(
    opening: Opening, empty_database_url: str, things: Things, statement: Statements
) -> None:
    db = await opening(empty_database_url, size=1)
    everything: Value[..., int] = Value(statement("value integer", "select * from things where thing = 100"), int)
    await db.value(everything)
    await things.admin.execute("alter table things alter column thing type bigint")

    with pytest.raises(Unavailable):
        async with db.transaction() as tx:
            await tx.value(everything)

    async with db.transaction() as tx:
        assert await tx.value(everything) == 100
