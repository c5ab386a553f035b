"""Fills user_model.email_key for accounts that were created before the column existed."""

from collections.abc import AsyncGenerator
from uuid import UUID

from service.auth.emails import email_key
from service.postgres import Database, Pool
from service.sql import many
from service.timeouts import DatabaseTimeouts
from service.users.models import Collision, User

LIST_EMAILS_WITHOUT_KEY = many("users.list_emails_without_key", User)
FILL_EMAIL_KEYS = many("users.fill_email_keys", Collision)
LOWEST_ID = UUID(int=0)
# Accounts per statement.
BATCH = 10_000
# Until migration 0012 adds an index, each statement reads and sorts all accounts: two million take three seconds.
TIMEOUTS = DatabaseTimeouts(query=3600)


async def fill_email_keys(url: str, *, batch: int = BATCH) -> AsyncGenerator[tuple[int, list[tuple[User, str]]], None]:
    """Fill the keys that are missing, `batch` accounts at a time.

    After each batch, yield how many keys were filled, and the accounts that were not changed because another account
    has the same key. The number includes accounts that were deleted, or filled by another run, in the meantime.
    Safe to interrupt and run again, even while the service runs.
    Raises Unavailable or asyncpg.PostgresError.
    """
    pool, after = Pool(url, statement_cache=0, timeouts=TIMEOUTS), LOWEST_ID
    async with pool.open():
        db = Database(pool)
        while accounts := await db.many(LIST_EMAILS_WITHOUT_KEY, after, batch):
            keys = {account.id: email_key(account.email) for account in accounts}
            taken = {
                each.id: each.email_key for each in await db.many(FILL_EMAIL_KEYS, list(keys), list(keys.values()))
            }
            collisions = [(account, taken[account.id]) for account in accounts if account.id in taken]
            yield len(accounts) - len(collisions), collisions
            after = accounts[-1].id
