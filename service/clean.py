"""Removes what is over."""

from collections.abc import AsyncIterator

from service.postgres import Database, Pool
from service.sql import count

CLEANED = {
    "login sessions": count("system.clean_login_sessions"),
    "counts of failed log-ins": count("system.clean_login_throttle"),
    "Idempotency-Keys": count("system.clean_idempotency_keys"),
}
# Rows of one statement: some milliseconds of work.
BATCH = 1000


async def clean(url: str, *, batch: int = BATCH) -> AsyncIterator[tuple[str, int, bool]]:
    """Remove what is over, `batch` rows at a time; tell of each kind how many are removed so far, and whether all are.

    Counts that a log-in holds are left for the next time. Raises Unavailable or asyncpg.PostgresError.
    """
    pool = Pool(url)
    async with pool.open():
        for kind, query in CLEANED.items():
            removed = 0
            while (number := await Database(pool).count(query, batch)) == batch:
                removed += number
                yield kind, removed, False
            yield kind, removed + number, True
