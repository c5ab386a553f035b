"""Removes what is over."""

from collections.abc import Callable

from service.connections import Pool
from service.database import Database
from service.sql import count

CLEAN_IDEMPOTENCY_KEYS = count("system.clean_idempotency_keys")
# Rows of one statement: some milliseconds of work.
BATCH = 1000


async def clean_idempotency_keys(url: str, *, report: Callable[[str], None], batch: int = BATCH) -> int:
    """Remove the keys that are over, `batch` at a time, and return how many there were.

    `report` is told how far it is after each full batch. Raises Unavailable or asyncpg.PostgresError.
    """
    pool = Pool(url)
    removed = 0
    async with pool.open():
        while True:
            number = await Database(pool).count(CLEAN_IDEMPOTENCY_KEYS, batch)
            removed += number
            if number < batch:
                return removed
            report(f"{removed} removed so far")
