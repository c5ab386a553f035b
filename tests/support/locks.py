"""Deterministic races: statements wait for a lock that the test holds, or lose each time."""

import asyncio

import asyncpg


async def blocked_statements(connection: asyncpg.Connection, number: int) -> list[str]:
    """Wait until `number` statements of this database wait for a lock; return them in the order of their arrival."""
    async with asyncio.timeout(5):
        while True:
            # Within a transaction, the view would keep its first contents.
            await connection.execute("select pg_stat_clear_snapshot()")
            rows = await connection.fetch(
                "select query from pg_stat_activity"
                " where datname = current_database() and wait_event_type = 'Lock' order by query_start"
            )
            if len(rows) >= number:
                return [row["query"] for row in rows]
            await asyncio.sleep(0.005)  # give the others time to work


async def lose_each_time(connection: asyncpg.Connection, write: str) -> None:
    """Discard each `write`, such as ``insert on login_session``, as if a concurrent statement always came first."""
    await connection.execute("create function nothing() returns trigger language plpgsql as 'begin return null; end'")
    await connection.execute(f"create trigger nothing before {write} for each row execute function nothing()")
