"""The connections to PostgreSQL: kept while they are good, replaced unseen where that is safe, 503 where it is not."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import pytest

from service import connections
from service.connections import Pool
from service.database import Database
from service.problems import Unavailable
from service.queries import Count, One, Value
from tests.statements import Statements

NEVER = 3600
Backend = Value[..., int]


class Opening(Protocol):
    """Opens a pool until the end of the test."""

    async def __call__(self, url: str = "", **options: int) -> Database:
        """Return a database on it."""


@pytest.fixture
async def opening(database_url: str) -> AsyncIterator[Opening]:
    """Return what opens a pool on the worker's database, or another."""
    async with AsyncExitStack() as stack:

        async def opening(url: str = "", **options: int) -> Database:
            pool = Pool(url or database_url, **options)
            await stack.enter_async_context(pool.open())
            return Database(pool)

        yield opening


@pytest.fixture
async def admin(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Return a connection beside those of the pool."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
def statement(tmp_path: Path) -> Statements:
    return Statements(tmp_path)


@pytest.fixture
def backend(statement: Statements) -> Backend:
    """Return the query that tells which process of the server answers."""
    return Value(statement("value integer", "select pg_backend_pid()"), int)


@pytest.fixture
def sleep(statement: Statements) -> Backend:
    """Return the query that takes so many seconds."""
    return Value(statement("value text", "select pg_sleep($1)::text", "seconds float8"), int)


async def running(admin: asyncpg.Connection, pid: int = 0) -> int:
    """Wait until a process of the server, or the process `pid`, sleeps in a statement; return which it is."""
    async with asyncio.timeout(5):
        while True:
            found: int | None = await admin.fetchval(
                "select pid from pg_stat_activity"
                " where datname = current_database() and wait_event = 'PgSleep' and pid in ($1, case $1 when 0 then pid end)",
                pid,
            )
            if found:
                return found


async def gone(admin: asyncpg.Connection, pid: int) -> None:
    """Wait until the process `pid` of the server has ended."""
    async with asyncio.timeout(5):
        while await admin.fetchval("select true from pg_stat_activity where pid = $1", pid):
            pass


async def ended(admin: asyncpg.Connection, pid: int) -> None:
    """End the process `pid` of the server, and let this process hear of it."""
    assert await admin.fetchval("select pg_terminate_backend($1, 5000)", pid)
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_connection_is_made_once_and_kept(opening: Opening, backend: Backend) -> None:
    db = await opening(size=2)

    assert await db.value(backend) == await db.value(backend)


async def test_statements_at_once_get_a_connection_each(opening: Opening, backend: Backend) -> None:
    db = await opening(size=3)

    assert len(set(await asyncio.gather(*(db.value(backend) for _ in range(3))))) == 3


async def test_who_finds_none_free_waits_for_one(opening: Opening, backend: Backend) -> None:
    db = await opening(size=1)

    assert len(set(await asyncio.gather(*(db.value(backend) for _ in range(20))))) == 1


async def test_an_old_connection_is_replaced(
    opening: Opening, backend: Backend, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "OLD", -1.0)
    db = await opening(size=1)

    first = await db.value(backend)

    assert await db.value(backend) != first
    await gone(admin, first)


@pytest.mark.parametrize("statement_cache", [100, 0])
async def test_rows_come_back_and_changes_are_counted(
    opening: Opening, statement: Statements, statement_cache: int
) -> None:
    """With prepared statements, and without, for an old PgBouncer."""
    db = await opening(statement_cache=statement_cache)
    pair: One[..., Any] = One(statement("one Pair", "select $1, upper($1)", "word text"), dict)
    nothing: Count[...] = Count(statement("count", "delete from pets where pet_name = $1", "pet_name text"), int)

    with pytest.raises(TypeError, match="expected at most 1 argument, got 2"):
        await db.one(pair, "a")
    assert await db.count(nothing, "nobody's") == 0


@pytest.mark.parametrize(("statement_cache", "prepared"), [(100, True), (0, False)])
async def test_statements_are_prepared_unless_told_otherwise(
    opening: Opening, statement: Statements, *, statement_cache: int, prepared: bool
) -> None:
    db = await opening(statement_cache=statement_cache)
    names = "select count(*)::integer from pg_prepared_statements where name <> ''"
    query: Value[..., int] = Value(statement("value integer", names), int)

    await db.value(query)

    assert (await db.value(query) > 0) is prepared


async def test_the_name_of_a_query_travels_to_the_server(opening: Opening, statement: Statements) -> None:
    db = await opening()
    text = "select query from pg_stat_activity where pid = pg_backend_pid()"
    query: Value[..., str] = Value(statement("value text", text), str)

    assert await db.value(query) == query.sql


async def test_timeouts_are_the_servers_own_to_keep(opening: Opening, statement: Statements) -> None:
    text = "select current_setting('statement_timeout') || ' ' || current_setting('lock_timeout')"
    query: Value[..., str] = Value(statement("value text", text), str)

    assert await (await opening(statement_timeout=2000, lock_timeout=1000)).value(query) == "2s 1s"
    assert await (await opening()).value(query) == "0 0"


async def test_a_statement_that_takes_too_long_is_unavailable(opening: Opening, sleep: Backend) -> None:
    db = await opening(statement_timeout=20)

    with pytest.raises(Unavailable, match="^The database does not answer$") as refusal:
        await db.value(sleep, NEVER)

    assert isinstance(refusal.value.__cause__, asyncpg.QueryCanceledError)


async def test_a_lock_that_somebody_holds_is_unavailable(
    opening: Opening, statement: Statements, admin: asyncpg.Connection
) -> None:
    db = await opening(lock_timeout=20)
    query: Value[..., int] = Value(statement("value bigint", "select count(*) from pets"), int)
    async with admin.transaction():
        await admin.execute("lock table pets")

        with pytest.raises(Unavailable) as refusal:
            await db.value(query)

    assert isinstance(refusal.value.__cause__, asyncpg.LockNotAvailableError)


async def test_no_free_connection_in_time_is_unavailable(
    opening: Opening, backend: Backend, sleep: Backend, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "WAIT", 0.02)
    db = await opening(size=1)
    busy = asyncio.create_task(db.value(sleep, NEVER))
    await running(admin)

    with pytest.raises(Unavailable):
        await db.value(backend)

    busy.cancel()


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:1/pets", "postgresql:///pets?host=/nowhere"])
async def test_no_server_is_unavailable(opening: Opening, backend: Backend, url: str) -> None:
    """The pool opens without one: the service starts before its database."""
    db = await opening(url)

    with pytest.raises(Unavailable) as refusal:
        await db.value(backend)

    assert isinstance(refusal.value.__cause__, OSError)


async def test_a_server_without_room_is_unavailable(
    opening: Opening, backend: Backend, admin: asyncpg.Connection, database_url: str
) -> None:
    """Whoever waited for a connection is told at once too, not when their time is over."""
    role = f"no_room_for_{await admin.fetchval('select current_database()')}"
    await admin.execute(f"create role {role} login connection limit 0")
    db = await opening(f"{database_url}&user={role}", size=1)

    async with asyncio.timeout(connections.WAIT):
        refusals = await asyncio.gather(*(db.value(backend) for _ in range(3)), return_exceptions=True)

    await admin.execute(f"drop role {role}")
    assert [type(refusal) for refusal in refusals] == [Unavailable] * 3
    assert [type(refusal.__cause__) for refusal in refusals] == [asyncpg.TooManyConnectionsError] * 3


@pytest.mark.parametrize("statement_cache", [100, 0])
async def test_a_connection_that_ended_while_idle_is_replaced_unseen(
    opening: Opening, backend: Backend, admin: asyncpg.Connection, statement_cache: int
) -> None:
    db = await opening(statement_cache=statement_cache)
    first = await db.value(backend)
    await ended(admin, first)

    assert await db.value(backend) != first


async def test_a_connection_that_ends_under_a_statement_is_unavailable(
    opening: Opening, backend: Backend, sleep: Backend, admin: asyncpg.Connection
) -> None:
    """Whether the statement was carried out, nobody knows: only the client can ask again."""
    db = await opening()
    statement = asyncio.create_task(db.value(sleep, NEVER))
    await ended(admin, await running(admin))

    with pytest.raises(Unavailable):
        await statement

    assert await db.value(backend)


async def test_a_frozen_server_is_unavailable(
    opening: Opening, backend: Backend, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for when the connection is closed either."""
    for limit in ("ANSWER", "CLOSE"):
        monkeypatch.setattr(connections, limit, 0.1)
    db = await opening(size=1)
    pid = await db.value(backend)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable) as refusal:
            await db.value(backend)

        assert isinstance(refusal.value.__cause__, TimeoutError)
        assert await db.value(backend) != pid
    finally:
        os.kill(pid, signal.SIGCONT)
    await gone(admin, pid)


async def test_a_request_that_is_given_up_stops_its_statement(
    opening: Opening, backend: Backend, sleep: Backend, admin: asyncpg.Connection
) -> None:
    db = await opening(size=1)
    statement = asyncio.create_task(db.value(sleep, NEVER))
    pid = await running(admin)

    statement.cancel()

    await gone(admin, pid)
    assert await db.value(backend) != pid


async def test_who_gives_up_waiting_takes_nothing_away(opening: Opening, backend: Backend) -> None:
    """Not even at the moment when the connection is handed over."""
    db = await opening(size=1)
    first = await db.value(backend)

    async def ask_and_disturb() -> None:
        await db.value(backend)
        waiting.cancel()

    asking = asyncio.create_task(ask_and_disturb())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(db.value(backend))
    patient = asyncio.create_task(db.value(backend))
    await asking

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await patient == first


async def test_who_gave_up_waiting_is_passed_over(opening: Opening, backend: Backend) -> None:
    db = await opening(size=1)
    first = await db.value(backend)
    asking, waiting, patient = (asyncio.create_task(db.value(backend)) for _ in range(3))
    await asyncio.sleep(0)

    waiting.cancel()

    assert [await asking, await patient] == [first, first]


async def test_a_statement_survives_a_change_of_the_schema(
    opening: Opening, statement: Statements, own_database_url: str
) -> None:
    db = await opening(own_database_url)
    query: One[..., Any] = One(statement("one Pet", "select * from numbers"), lambda *row: row)  # type: ignore[arg-type]
    admin = await asyncpg.connect(own_database_url)
    await admin.execute("create table numbers as select 1 as number")
    assert await db.one(query) == (1,)

    await admin.execute("alter table numbers add word text default 'one'")

    await admin.close()
    assert await db.one(query) == (1, "one")


async def test_what_postgresql_refuses_leaves_the_connection_as_it_was(
    opening: Opening, backend: Backend, statement: Statements
) -> None:
    db = await opening(size=1)
    first = await db.value(backend)

    with pytest.raises(asyncpg.DivisionByZeroError):
        await db.value(Value(statement("value integer", "select 1 / $1", "divisor integer"), int), 0)

    assert await db.value(backend) == first


async def test_a_query_that_is_called_wrongly_is_a_mistake_of_ours(opening: Opening, backend: Backend) -> None:
    """Nor does it use up the connections."""
    db = await opening(size=1)

    for _ in range(2):
        with pytest.raises(asyncpg.InterfaceError, match="the server expects 0 arguments"):
            await db.value(backend, "one too many")

    assert await db.value(backend)


async def test_all_connections_are_closed_in_the_end(
    database_url: str, backend: Backend, admin: asyncpg.Connection
) -> None:
    pool = Pool(database_url, size=3)
    async with pool.open():
        pids = await asyncio.gather(*(Database(pool).value(backend) for _ in range(3)))

    for pid in pids:
        await gone(admin, pid)


async def test_what_does_not_end_in_time_is_ended_by_force(
    database_url: str, sleep: Backend, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CLOSE_ALL", 0.05)
    pool = Pool(database_url)
    async with asyncio.timeout(connections.CLOSE_ALL + 1):
        async with pool.open():
            statement = asyncio.create_task(Database(pool).value(sleep, NEVER))
            await running(admin)

        with pytest.raises(Unavailable):
            await statement
