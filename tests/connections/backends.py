"""The server's processes, watched and ended from beside."""

import asyncio

import asyncpg


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
