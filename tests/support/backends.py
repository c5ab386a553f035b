"""PostgreSQL's backend processes, observed and ended from outside."""

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


async def backends_in_use(db: Database, admin: asyncpg.Connection, statement: Statements, number: int) -> list[int]:
    """Run `number` statements concurrently; return the pid of the backend that ran each."""
    lock: Value[..., int] = Value(
        statement("value integer", "select pg_backend_pid() from pg_advisory_xact_lock_shared(1)"), int
    )
    async with admin.transaction():
        await admin.execute("select pg_advisory_xact_lock(1)")
        asking = [asyncio.create_task(db.value(lock)) for _ in range(number)]
        await blocked_statements(admin, number)  # none ends before all have begun
    return await asyncio.gather(*asking)


async def wait_until_running(admin: asyncpg.Connection) -> int:
    """Wait until a backend sleeps in a statement; return its pid."""
    sleeping = "select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"
    async with asyncio.timeout(5):
        while (pid := await admin.fetchval(sleeping)) is None:
            pass
    return int(pid)


async def wait_until_gone(admin: asyncpg.Connection, pid: int) -> None:
    """Wait until the backend `pid` has ended."""
    async with asyncio.timeout(5):
        while await admin.fetchval("select true from pg_stat_activity where pid = $1", pid):
            pass


async def terminate(admin: asyncpg.Connection, pid: int) -> None:
    """End the backend `pid`, and let this process receive the notice."""
    assert await admin.fetchval("select pg_terminate_backend($1, 5000)", pid)
    for _ in range(20):
        await asyncio.sleep(0)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Freeze the backend `pid` until the end of the context."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
