"""`clean`: removes what is over."""

import asyncpg

from service.system.cleaning import clean_idempotency_keys
from tests.factories import Committed
from tests.processes import run

KEYS = """
insert into idempotency_key (user_id, key, request_sha256, resource_id, created_at)
select $1, n::text, '', 1, now() - interval '24 hours' - n * interval '1 second'
from generate_series($2::int, $3::int) as n
"""


async def keys(connection: asyncpg.Connection) -> list[str]:
    return [row["key"] for row in await connection.fetch("select key from idempotency_key order by key")]


async def test_keys_that_are_over_are_removed_batch_by_batch(committed: Committed, own_database_url: str) -> None:
    user = await committed.make.user()
    await committed.connection.execute(KEYS, user.id, -1, 5)
    told: list[str] = []

    removed = await clean_idempotency_keys(own_database_url, report=told.append, batch=2)

    assert removed == 6
    assert told == ["2 removed so far", "4 removed so far", "6 removed so far"]
    assert await keys(committed.connection) == ["-1"]


async def test_a_key_that_is_in_use_is_left_for_the_next_time(committed: Committed, own_database_url: str) -> None:
    user = await committed.make.user()
    await committed.connection.execute(KEYS, user.id, 1, 2)
    async with committed.connection.transaction():
        await committed.connection.execute("select from idempotency_key where key = '1' for update")

        removed = await clean_idempotency_keys(own_database_url, report=print)

    assert removed == 1
    assert await keys(committed.connection) == ["1"]


async def test_the_command_says_how_many(committed: Committed, own_database_url: str) -> None:
    user = await committed.make.user()
    await committed.connection.execute(KEYS, user.id, 1, 3)

    done = run("clean", settings={"DATABASE_URL": own_database_url})

    assert (done.returncode, done.stdout, done.stderr) == (0, "3 Idempotency-Keys removed\n", "")
    assert await keys(committed.connection) == []
