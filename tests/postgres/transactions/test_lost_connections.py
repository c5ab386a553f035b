"""Transactions whose connection is lost, or whose commit is not confirmed."""

# ruff: noqa: PT012 - a transaction that fails is a block of several statements

import asyncio

import asyncpg
import attrs
import pytest

from service.embedded import EmbeddedPostgres
from service.postgres.database import Database, Queries
from service.problems import Unavailable
from tests.postgres.transactions.conftest import Things
from tests.support.backends import frozen, terminate, wait_until_running
from tests.support.pools import PATIENT, Backend, Opening, url_with_hosts
from tests.support.relay import Relay


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


async def test_cancelled_begin_is_not_repeated(
    opening: Opening, empty_database_url: str, server: EmbeddedPostgres, things: Things
) -> None:
    relay = Relay(server)
    async with relay.listen() as port:
        url = url_with_hosts(empty_database_url, server, f"127.0.0.1:{port}") + "?sslmode=disable"
        db = await opening(url, timeouts=attrs.evolve(PATIENT, close=0.1, close_all=0.1))
        await db.count(things.add, 1)
        relay.delay = 60
        beginning = asyncio.create_task(db.transaction().__aenter__())
        await asyncio.sleep(0)

        beginning.cancel()
        await asyncio.wait([beginning], timeout=5)

    assert beginning.cancelled()


async def test_connection_to_a_read_only_server_is_not_kept(
    opening: Opening, empty_database_url: str, things: Things, backend: Backend
) -> None:
    db = await opening(f"{empty_database_url}&default_transaction_read_only=on")
    pid = await db.value(backend)

    with pytest.raises(Unavailable):
        async with db.transaction() as tx:
            await tx.count(things.add, 1)

    assert await db.value(backend) != pid


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
