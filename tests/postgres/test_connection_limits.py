"""PostgreSQL allows fewer connections than the pool's size: requests wait for those that there are."""

import asyncio
import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.postgres.queries import Value
from service.problems import Unavailable
from service.telemetry import RequestContext, current
from service.timeouts import DatabaseTimeouts
from tests.support.pools import Backend, Opening
from tests.support.statements import Statements


@pytest.fixture
async def limited_url(database_url: str, admin: asyncpg.Connection) -> AsyncIterator[str]:
    """Return a URL whose role is limited to two connections."""
    role = f"limited_{await admin.fetchval('select current_database()')}"
    await admin.execute(f"create role {role} login connection limit 2")
    yield re.sub("//.*@", f"//{role}@", database_url)
    await admin.execute("select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = $1", role)
    await admin.execute(f"drop role {role}")


async def test_no_request_is_refused_while_a_connection_lives(
    opening: Opening, limited_url: str, statement: Statements
) -> None:
    nap: Backend = Value(statement("value integer", "select pg_backend_pid() from pg_sleep(0.02)"), int)
    db = await opening(limited_url, size=10)

    pids = await asyncio.gather(*(db.value(nap) for _ in range(60)))

    assert 1 <= len(set(pids)) <= 2


@pytest.mark.slow
async def test_shortage_of_connections_is_logged_once(
    opening: Opening, limited_url: str, statement: Statements
) -> None:
    """Otherwise nothing says why requests wait: a larger pool would make it worse."""
    nap: Backend = Value(statement("value integer", "select pg_backend_pid() from pg_sleep(0.2)"), int)
    db = await opening(limited_url, size=10)

    with capture_logs() as logs:
        await asyncio.gather(*(db.value(nap) for _ in range(10)))

    [entry] = logs
    assert (entry["log_level"], entry["event"]) == ("warning", "pool cannot grow")
    assert entry["reason"].startswith("too many connections for role")


async def test_all_are_served_when_the_limit_is_gone(
    opening: Opening, limited_url: str, backend: Backend, admin: asyncpg.Connection
) -> None:
    """Requests fail while there is no connection to wait for; later ones wait for the next attempt."""
    role = limited_url.split("//")[1].split("@", maxsplit=1)[0]
    await admin.execute(f"alter role {role} connection limit 0")
    db = await opening(limited_url, size=10)
    with pytest.raises(Unavailable):
        await db.value(backend)

    await admin.execute(f"alter role {role} connection limit 2")

    assert all(await asyncio.gather(*(db.value(backend) for _ in range(20))))


async def test_shortage_is_logged_without_the_request(
    opening: Opening, limited_url: str, backend: Backend, sleep: Backend
) -> None:
    """It concerns all requests; an entry of one has its id and its user's."""

    def add_request(_: object, __: str, entry: EventDict) -> EventDict:
        return {**entry, "request": current.get()}

    db = await opening(limited_url, size=3)
    await db.value(backend)
    request = current.set(RequestContext("one of many"))

    with capture_logs([add_request]) as logs:
        await asyncio.gather(*(db.value(sleep, 0.2) for _ in range(3)))

    current.reset(request)
    assert [entry["request"] for entry in logs] == [None]


async def test_requests_fail_at_once_even_in_a_long_outage(opening: Opening, backend: Backend) -> None:
    """After 1,024 failures, doubled pauses are no longer a float."""
    db = await opening("postgresql:///none?host=/nowhere", timeouts=DatabaseTimeouts(acquire=10, last_retry=0))

    for _ in range(1100):
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable):
                await db.value(backend)


@pytest.mark.slow
async def test_attempts_to_connect_are_spaced(opening: Opening, backend: Backend) -> None:
    """However many requests wait."""
    attempts = 0

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as nothing:
        url = f"postgresql://u@127.0.0.1:{nothing.sockets[0].getsockname()[1]}/d?sslmode=disable"
        db = await opening(url, size=10, timeouts=DatabaseTimeouts(acquire=0.2))
        end = asyncio.get_running_loop().time() + 1
        while asyncio.get_running_loop().time() < end:
            await asyncio.gather(*(db.value(backend) for _ in range(10)), return_exceptions=True)

    assert 1 <= attempts < 20  # ten at once, then one after each pause
