"""Slow queries are logged with file and plan."""

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from service.postgres import slow_queries
from service.postgres.database import Database
from service.postgres.pool import Pool
from service.postgres.queries import Value
from service.problems import Unavailable
from service.timeouts import DatabaseTimeouts
from tests.support.pools import Backend, Opening
from tests.support.statements import Statements

MILLISECOND = 1
Entry = dict[str, Any]


async def wait_for_entries(entries: list[Any], number: int = 1) -> list[Entry]:
    """Wait for `number` log entries."""
    async with asyncio.timeout(5):
        while len(entries) < number:  # noqa: ASYNC110 - a log has no event to wait for
            await asyncio.sleep(0.01)
    return entries


async def test_slow_query_is_logged_with_file_and_plan(opening: Opening, statement: Statements) -> None:
    query: Value[..., str] = Value(
        statement(
            "value text",
            "select (select email from user_model where email = $1) || pg_sleep(0.01)",
            "email text",
        ),
        str,
    )
    db = await opening(slow_query=MILLISECOND)

    with capture_logs() as entries:
        await db.value(query, "planted-argument")
        [entry] = await wait_for_entries(entries)

    assert (entry["event"], entry["query"], entry["file"]) == ("slow query", "tests.query", file_of(query))
    assert (entry["log_level"], entry["times"], entry["error"]) == ("warning", 1, None)
    assert entry["ms"] >= 10
    assert "user_model" in entry["plan"]
    assert "$1" in entry["plan"]
    assert "planted-argument" not in str(entry)


def file_of(query: Value[..., str]) -> str:
    return str(Path(*query.statement.path.parts[-3:]))


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"lock_timeout": 50}, "canceling statement due to lock timeout"),
        ({"statement_timeout": 50}, "canceling statement due to statement timeout"),
        ({"timeouts": DatabaseTimeouts(query=0.05)}, "TimeoutError"),
    ],
)
async def test_slow_query_that_failed_is_logged_with_the_reason(
    opening: Opening,
    statement: Statements,
    admin: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, Any],
    reason: str,
) -> None:
    """A locked table makes every plan slow."""
    monkeypatch.setattr(slow_queries, "PLAN_ATTEMPTS", 1)
    query: Value[..., int] = Value(statement("value bigint", "select count(*) from user_model"), int)
    db = await opening(**limits, slow_query=MILLISECOND)

    with capture_logs() as entries:
        async with admin.transaction():
            await admin.execute("lock table user_model")
            with pytest.raises(Unavailable):
                await db.value(query)
        [entry] = await wait_for_entries(entries)

    assert entry["error"] == reason


async def test_query_without_parameters_has_a_plan(opening: Opening, statement: Statements) -> None:
    query: Value[..., str] = Value(statement("value text", "select pg_sleep(0.01)::text"), str)
    db = await opening(slow_query=MILLISECOND)

    with capture_logs() as entries:
        await db.value(query)
        [entry] = await wait_for_entries(entries)

    assert "Result" in entry["plan"]


async def test_repeatedly_slow_query_is_logged_once_a_minute(
    opening: Opening, sleep: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await opening(slow_query=MILLISECOND)

    with capture_logs() as entries:
        await db.value(sleep, 0.01)
        await wait_for_entries(entries)
        for _ in range(2):
            await db.value(sleep, 0.01)
        monkeypatch.setattr(slow_queries, "monotonic", lambda: monotonic() + 60)
        await db.value(sleep, 0.01)
        await wait_for_entries(entries, 2)

    assert [entry["times"] for entry in entries] == [1, 3]


async def test_fast_query_is_not_logged(opening: Opening, sleep: Backend) -> None:
    db = await opening(slow_query=1000)

    with capture_logs() as entries:
        await db.value(sleep, 0)

    assert entries == []


async def test_explain_leaves_the_connection_unchanged(opening: Opening, sleep: Backend, statement: Statements) -> None:
    settings: Value[..., str] = Value(
        statement(
            "value text",
            "select current_setting('plan_cache_mode') || count(*) from pg_prepared_statements"
            " where name = 'slow_query'",
        ),
        str,
    )
    db = await opening(size=1, slow_query=MILLISECOND)
    with capture_logs() as entries:
        await db.value(sleep, 0.01)
        await wait_for_entries(entries)

    assert await db.value(settings) == "auto0"


@pytest.mark.slow
async def test_plan_waits_for_an_idle_connection(opening: Opening, sleep: Backend) -> None:
    db = await opening(size=1, slow_query=MILLISECOND)

    with capture_logs() as entries:
        await asyncio.gather(db.value(sleep, 0.01), db.value(sleep, 0.3))
        [entry] = await wait_for_entries(entries)

    assert entry["plan"]


@pytest.mark.slow
async def test_no_idle_connection_means_no_plan(
    opening: Opening, sleep: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_queries, "PLAN_ATTEMPTS", 1)
    db = await opening(size=1, slow_query=MILLISECOND)

    with capture_logs() as entries:
        await asyncio.gather(db.value(sleep, 0.01), db.value(sleep, 0.1))
        [entry] = await wait_for_entries(entries)

    assert entry["plan"] is None


async def test_plan_waits_for_no_lock(
    database_url: str, statement: Statements, sleep: Backend, admin: asyncpg.Connection
) -> None:
    pool = Pool(database_url)
    query: Value[..., int] = Value(statement("value bigint", "select count(*) from user_model"), int)
    async with pool.open(), admin.transaction():
        await Database(pool).value(sleep, 0)
        await admin.execute("lock table user_model")

        async with asyncio.timeout(5):
            assert await pool.explain(query) is None
            assert await Database(pool).value(sleep, 0) == 0


async def test_pending_slow_queries_are_logged_on_close(database_url: str, sleep: Backend) -> None:
    pool = Pool(database_url, slow_query=MILLISECOND)

    with capture_logs() as entries:
        async with pool.open():
            await Database(pool).value(sleep, 0.01)

    assert [entry["query"] for entry in entries] == ["tests.query"]
