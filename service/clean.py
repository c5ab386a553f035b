"""Removes expired rows; each table's owner declares its purge in one line: ``purge("login sessions", count(…))``."""

from collections.abc import AsyncIterator

from service.postgres import Count, Database, Pool

# By what their rows are called, in the order of declaration.
PURGES: dict[str, Count[[int]]] = {}
# Rows per statement: few enough not to hold up other transactions.
BATCH = 1000


def purge(rows: str, query: Count[[int]]) -> None:
    """Declare that `query` removes expired `rows`, at most as many as its parameter says."""
    PURGES[rows] = query


async def clean(url: str, *, batch: int = BATCH) -> AsyncIterator[tuple[str, int, bool]]:
    """Run all purges, `batch` rows at a time; after each batch, yield the rows' name, the total so far, and the end.

    Counts that a log-in holds are left for the next run. Raises Unavailable or asyncpg.PostgresError.
    """
    pool = Pool(url)
    async with pool.open():
        # A module declares its purge after those of the modules it imports: this way, features come first.
        for rows, query in reversed(PURGES.items()):
            removed = 0
            while (number := await Database(pool).count(query, batch)) == batch:
                removed += number
                yield rows, removed, False
            yield rows, removed + number, True
