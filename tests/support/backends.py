"""The server's processes, watched and ended from beside."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from service.postgres.database import Database
from service.postgres.queries import Value
from tests.support.locks import blocked_statements
from tests.support.statements import Statements


async def in_use_at_once(db: Database, admin: asyncpg.Connection, statement: Statements, number: int) -> list[int]:
    """Have `number` statements run at the same time; return which process of the server ran each."""
    lock: Value[..., int] = Value(
        statement("value integer", "select pg_backend_pid() from pg_advisory_xact_lock_shared(1)"), int
    )
    async with admin.transaction():
        await admin.execute("select pg_advisory_xact_lock(1)")
        asking = [asyncio.create_task(db.value(lock)) for _ in range(number)]
        await blocked_statements(admin, number)  # none ends before all have begun
    return await asyncio.gather(*asking)


async def running(admin: asyncpg.Connection) -> int:
    """Wait until a process of the server sleeps in a statement; return which it is."""
    sleeping = "select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"
    async with asyncio.timeout(5):
        while (pid := await admin.fetchval(sleeping)) is None:
            pass
    return int(pid)


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


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop the process `pid` of the server in its tracks until the end of the context."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
