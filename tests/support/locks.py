"""Races, driven: a test holds a lock until the statements that it wants to meet there all wait for it."""

import asyncio

import asyncpg


async def blocked_statements(connection: asyncpg.Connection, number: int) -> list[str]:
    """Wait until `number` statements of this database wait for a lock, and return them, the first come first."""
    async with asyncio.timeout(5):
        while True:
            # Within a transaction the view would stay as it was first seen.
            await connection.execute("select pg_stat_clear_snapshot()")
            rows = await connection.fetch(
                "select query from pg_stat_activity"
                " where datname = current_database() and wait_event_type = 'Lock' order by query_start"
            )
            if len(rows) >= number:
                return [row["query"] for row in rows]
            await asyncio.sleep(0.005)  # not to keep from its work whom we wait for
