"""Concurrent password guesses: the limits hold, and the counts are exact."""

import asyncio
from datetime import timedelta

import asyncpg
import httpx
import pytest

from service.auth.throttle import COUNT_FAILED_LOGIN
from tests.support.accounts import PASSWORD
from tests.support.factories import Committed, log_in


async def test_concurrent_guesses_do_not_exceed_the_limit(committed: Committed) -> None:
    user = await committed.make.user()

    responses = await asyncio.gather(*(log_in(committed.client, user.email, f"wrong {n}") for n in range(20)))

    assert sorted(response.status_code for response in responses) == [400] * 5 + [429] * 15


@pytest.mark.slow
async def test_right_guess_over_the_limit_looks_wrong(committed: Committed) -> None:
    """All pass the first check together; when this one opens its session, the others are counted."""
    user = await committed.make.user()
    passwords = [f"wrong {n}" for n in range(30)] + [PASSWORD]

    responses = await asyncio.gather(*(log_in(committed.client, user.email, password) for password in passwords))

    assert responses[-1].status_code == 429
    assert await committed.connection.fetchval("select count(*) from login_session") == 1


@pytest.mark.slow
async def test_right_current_password_over_the_limit_is_429(committed: Committed) -> None:
    """All pass the first check together, but the others are counted by the time that this one is verified."""
    user = await committed.make.user()
    passwords = [f"wrong {n}" for n in range(30)] + [PASSWORD]

    async def delete(current: str) -> httpx.Response:
        return await committed.client.request(
            "DELETE", "/users/me", json={"current_password": current}, headers=user.bearer
        )

    responses = await asyncio.gather(*(delete(password) for password in passwords))

    assert responses[-1].status_code == 429
    assert await committed.connection.fetchval("select count(*) from user_model") == 1


async def test_statement_counts_exactly_under_concurrency(own_database_url: str) -> None:
    pool = await asyncpg.create_pool(own_database_url, min_size=20, max_size=20)
    arguments = "a@example.com", "203.0.113.7/32", 7, 50, 50, timedelta(seconds=900)

    remaining = await asyncio.gather(*(pool.fetchval(COUNT_FAILED_LOGIN.sql, *arguments) for _ in range(60)))
    await pool.close()

    assert sorted(remaining, reverse=True)[:8] == [6, 5, 4, 3, 2, 1, 0, -1]
    assert remaining.count(-1) == 53


async def test_search_for_expired_counts_does_not_scan_the_table(own_database_url: str) -> None:
    """Even if statistics say that half of them have expired, because those were removed since."""
    connection = await asyncpg.connect(own_database_url)
    await connection.execute(
        "insert into login_throttle select sha256(n::text::bytea), '::1', 1, 5,"
        " now() + interval '1 hour' * (n % 2 - 0.5) from generate_series(1, 20000) as n;"
        " analyze; delete from login_throttle where ends_at <= now()"
    )
    scans = "select seq_scan from pg_stat_xact_user_tables where relname = 'login_throttle'"

    async with connection.transaction():
        await connection.fetch(COUNT_FAILED_LOGIN.sql, "a@example.com", "::1", 5, 100, 50, timedelta(seconds=900))
        scanned = await connection.fetchval(scans)
    await connection.close()

    assert scanned == 0


def test_expired_counts_never_deadlock(own_database_url: str) -> None:
    """Each statement removes expired counts that others are about to update."""

    async def wave(connections: list[asyncpg.Connection]) -> list[object]:
        await connections[0].execute("update login_throttle set ends_at = now() - interval '1 second'")
        return await asyncio.gather(
            *(
                each.fetch(COUNT_FAILED_LOGIN.sql, f"{n}@example.com", f"203.0.113.{n}/32", 5, 100, 50, timedelta(900))
                for n, each in enumerate(connections)
            ),
            return_exceptions=True,
        )

    async def waves() -> list[object]:
        connections = [await asyncpg.connect(own_database_url) for _ in range(12)]
        found = [result for _ in range(15) for result in await wave(connections)]
        for each in connections:
            await each.close()
        return found

    assert [result for result in asyncio.run(waves()) if isinstance(result, Exception)] == []
