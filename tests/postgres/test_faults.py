"""Faults between the service and PostgreSQL: retried if that is safe, otherwise 503."""

import asyncio
import re
import socket
import ssl
import time
from contextlib import suppress

import asyncpg
import psycopg
import pytest
from structlog.testing import capture_logs

from service.postgres.database import Database
from service.postgres.deadlines import STALL
from service.postgres.pool import Pool
from service.postgres.queries import Value
from service.problems import Unavailable
from service.timeouts import DatabaseTimeouts
from tests.support.backends import frozen, terminate, wait_until_gone, wait_until_running
from tests.support.locks import blocked_statements
from tests.support.pools import Backend, Opening
from tests.support.processes import wait_until
from tests.support.statements import Statements

NEVER = 3600


async def test_slow_statement_is_unavailable(opening: Opening, sleep: Backend) -> None:
    db = await opening(statement_timeout=20)

    with pytest.raises(Unavailable, match=r"^The database does not answer$") as refusal:
        await db.value(sleep, NEVER)

    assert isinstance(refusal.value.__cause__, asyncpg.QueryCanceledError)


async def test_answer_that_arrives_while_the_process_is_stalled_counts(
    opening: Opening, backend: Backend, statement: Statements, admin: asyncpg.Connection, database_url: str
) -> None:
    """The statement can have been a write, and its connection is as good as before."""
    sql = "select pg_backend_pid() from pg_advisory_xact_lock(2)"
    held: Backend = Value(statement("value integer", sql), int)
    db = await opening(size=1, timeouts=DatabaseTimeouts(acquire=10, query=1))
    first = await db.value(backend)
    with psycopg.connect(database_url) as rival:
        rival.execute("select pg_advisory_xact_lock(2)")
        asking = asyncio.create_task(db.value(held))
        await blocked_statements(admin, 1)
        rival.rollback()  # the stall begins
        idle = "select from pg_stat_activity where pid = %s and state = 'idle'"
        rival.autocommit = True  # within a transaction, the view would keep its first contents
        wait_until(lambda: rival.execute(idle, [first]).rowcount == 1, "the server has answered")

    time.sleep(1 + 2 * STALL)  # noqa: ASYNC251 - past the deadline

    assert [await asking, await db.value(backend)] == [first, first]


async def test_held_lock_is_unavailable(
    opening: Opening, statement: Statements, backend: Backend, admin: asyncpg.Connection
) -> None:
    """The connection is as good as before."""
    db = await opening(lock_timeout=20)
    first = await db.value(backend)
    query: Value[..., int] = Value(statement("value bigint", "select count(*) from user_model"), int)
    async with admin.transaction():
        await admin.execute("lock table user_model")

        with pytest.raises(Unavailable) as refusal:
            await db.value(query)

    assert isinstance(refusal.value.__cause__, asyncpg.LockNotAvailableError)
    assert await db.value(backend) == first


async def test_exhausted_pool_is_unavailable(
    opening: Opening, backend: Backend, sleep: Backend, admin: asyncpg.Connection
) -> None:
    db = await opening(size=1, timeouts=DatabaseTimeouts(acquire=1, query=30))
    busy = asyncio.create_task(db.value(sleep, NEVER))
    await wait_until_running(admin)

    with pytest.raises(Unavailable):
        await db.value(backend)

    busy.cancel()


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:1/kites", "postgresql:///kites?host=/nowhere"])
async def test_missing_server_is_unavailable(opening: Opening, backend: Backend, url: str) -> None:
    """The pool opens without a server: the service can start before its database."""
    db = await opening(url)

    with pytest.raises(Unavailable) as refusal:
        await db.value(backend)

    assert isinstance(refusal.value.__cause__, OSError)


async def test_missing_database_is_unavailable(opening: Opening, backend: Backend, database_url: str) -> None:
    """The operator has to create it, and can do so at any moment."""
    db = await opening(re.sub("/[^/]*[?]", "/nothing?", database_url))

    with pytest.raises(Unavailable) as refusal:
        await db.value(backend)

    assert isinstance(refusal.value.__cause__, asyncpg.InvalidCatalogNameError)


async def test_tls_error_is_unavailable(opening: Opening, backend: Backend, database_url: str) -> None:
    """Repeated attempts use up no connection."""
    db = await opening(f"{database_url}&sslmode=require&sslcert=/dev/null", size=1)

    for _ in range(2):
        with pytest.raises(Unavailable) as refusal:
            await db.value(backend)
        assert isinstance(refusal.value.__cause__, ssl.SSLError)


async def test_silent_host_is_unavailable(opening: Opening, backend: Backend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/kites"
        db = await opening(url, timeouts=DatabaseTimeouts(acquire=10, connect=0.05))

        with pytest.raises(Unavailable) as refusal:
            await db.value(backend)

    assert isinstance(refusal.value.__cause__, TimeoutError)


async def test_outage_is_logged_once_and_its_end_once(
    opening: Opening, backend: Backend, admin: asyncpg.Connection, database_url: str
) -> None:
    """It is not logged for each request."""
    role = f"away_from_{await admin.fetchval('select current_database()')}"
    await admin.execute(f"create role {role} login connection limit 0")
    db = await opening(re.sub("//.*@", f"//{role}@", database_url), size=2)

    with capture_logs() as logs:
        await asyncio.gather(*(db.value(backend) for _ in range(5)), return_exceptions=True)
        await admin.execute(f"alter role {role} connection limit -1")
        await asyncio.gather(*(db.value(backend) for _ in range(5)))

    await admin.execute(f"drop role {role}")
    assert logs == [
        {"log_level": "error", "event": "database unavailable", "reason": f'too many connections for role "{role}"'},
        {"log_level": "info", "event": "database available again"},
    ]


async def test_server_of_the_wrong_kind_is_unavailable(opening: Opening, backend: Backend, database_url: str) -> None:
    """A replica that is being promoted is such a server for a moment."""
    db = await opening(f"{database_url}&target_session_attrs=standby")

    with pytest.raises(Unavailable) as refusal:
        await db.value(backend)

    assert isinstance(refusal.value.__cause__, asyncpg.InternalClientError)


@pytest.mark.parametrize("ticks", range(5))
async def test_ending_connection_is_replaced_or_unavailable(
    opening: Opening, backend: Backend, admin: asyncpg.Connection, ticks: int
) -> None:
    """The outcome depends on how much of the end has arrived; it is never an internal error."""
    db = await opening(size=1)
    first = await db.value(backend)
    assert await admin.fetchval("select pg_terminate_backend($1, 5000)", first)
    for _ in range(ticks):
        await asyncio.sleep(0)

    with suppress(Unavailable):
        assert await db.value(backend) != first


async def test_server_without_free_connections_is_unavailable(
    opening: Opening, backend: Backend, admin: asyncpg.Connection, database_url: str
) -> None:
    """Requests that wait for a connection fail at once, too, not at their deadline."""
    role = f"no_room_for_{await admin.fetchval('select current_database()')}"
    await admin.execute(f"create role {role} login connection limit 0")
    db = await opening(re.sub("//.*@", f"//{role}@", database_url), size=1)

    async with asyncio.timeout(5):  # their timeout is 10
        responses = await asyncio.gather(*(db.value(backend) for _ in range(3)), return_exceptions=True)

    await admin.execute(f"drop role {role}")
    refusals = [response for response in responses if isinstance(response, Unavailable)]
    assert [type(refusal.__cause__) for refusal in refusals] == [asyncpg.TooManyConnectionsError] * 3


@pytest.mark.parametrize("statement_cache", [100, 0])
async def test_connection_lost_while_idle_is_replaced(
    opening: Opening, backend: Backend, admin: asyncpg.Connection, statement_cache: int
) -> None:
    db = await opening(statement_cache=statement_cache)
    first = await db.value(backend)
    await terminate(admin, first)

    assert await db.value(backend) != first


async def test_write_whose_connection_is_lost_is_unavailable(
    opening: Opening, backend: Backend, write_slowly: Backend, admin: asyncpg.Connection
) -> None:
    """The outcome is unknown, so only the client can retry."""
    db = await opening()
    asking = asyncio.create_task(db.value(write_slowly, NEVER))
    await terminate(admin, await wait_until_running(admin))

    with pytest.raises(Unavailable):
        await asking

    assert await db.value(backend)


@pytest.mark.slow
async def test_frozen_server_is_unavailable(opening: Opening, backend: Backend, admin: asyncpg.Connection) -> None:
    """Closing the connection does not wait for it either."""
    db = await opening(size=1, timeouts=DatabaseTimeouts(acquire=10, query=1, close=60, close_silent=0.1))
    pid = await db.value(backend)
    with frozen(pid):
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable) as refusal:
                await db.value(backend)

        assert isinstance(refusal.value.__cause__, TimeoutError)
        assert await db.value(backend) != pid
    await wait_until_gone(admin, pid)


async def test_cancelled_request_cancels_its_statement(
    opening: Opening, backend: Backend, sleep: Backend, admin: asyncpg.Connection
) -> None:
    db = await opening(size=1)
    statement = asyncio.create_task(db.value(sleep, NEVER))
    pid = await wait_until_running(admin)

    statement.cancel()

    await wait_until_gone(admin, pid)
    assert await db.value(backend) != pid


async def test_connection_that_does_not_close_is_terminated(
    database_url: str, sleep: Backend, admin: asyncpg.Connection
) -> None:
    pool = Pool(database_url, timeouts=DatabaseTimeouts(acquire=10, query=30, close_all=0.05))
    async with asyncio.timeout(10):
        async with pool.open():
            statement = asyncio.create_task(Database(pool).value(sleep, NEVER))
            pid = await wait_until_running(admin)

        with pytest.raises(Unavailable):
            await statement
    await terminate(admin, pid)  # the backend has not noticed, and would sleep during the next tests
