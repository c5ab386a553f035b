"""Deletes expired rows. A feature declares its purge in one line: ``purge("login sessions", count("…"))``."""

from collections.abc import AsyncIterator

from service.postgres import Count, Database, Pool

# By the name of the rows that they delete, in the order of declaration.
PURGES: dict[str, Count[[]]] = {}


def purge(rows: str, query: Count[[]]) -> None:
    """Declare that `query` deletes a batch of expired `rows`, small enough not to block other transactions for long."""
    PURGES[rows] = query


async def run_purges(url: str) -> AsyncIterator[tuple[str, int, bool]]:
    """Run each purge until it deletes nothing.

    After each batch, yield the name of the rows, the number deleted so far, and whether the purge is complete. Locked
    counts of failed log-ins are left for the next run. Raises Unavailable or asyncpg.PostgresError.
    """
    pool = Pool(url, statement_cache=0)
    async with pool.open():
        for rows, query in PURGES.items():
            removed = 0
            while number := await Database(pool).count(query):
                if removed:
                    yield rows, removed, False
                removed += number
            yield rows, removed, True
