"""Logs slow queries with their file and PostgreSQL's plan."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Any

import asyncpg

from service.postgres.queries import Query
from service.telemetry import log

# built-sql: ok PREPARE and EXPLAIN take no parameters, and their texts contain only the query's file

# Seconds between two log lines about the same query.
INTERVAL = 60.0
# Attempts to get the plan, one a second.
PLAN_ATTEMPTS = 10
SETTINGS = "set local plan_cache_mode = force_generic_plan; set local lock_timeout = '100ms';"


class SlowQueryLog:
    """Logs each slow query at most once a minute, with the number of times it was slow since the last line.

    The plan is requested on an idle connection after the query has been answered. If no connection becomes idle within
    ten seconds, or PostgreSQL is too busy to explain the query, the line has no plan.
    """

    def __init__(self, explain: Callable[[Query[..., Any]], Awaitable[str | None]]) -> None:
        """Create a log; `explain` returns the plan of a query, or None if it has none at the moment."""
        self._explain = explain
        self._times: dict[Query[..., Any], int] = {}
        self._next_line: dict[Query[..., Any], float] = {}
        self._closing = asyncio.Event()
        self._logging: set[asyncio.Task[None]] = set()

    def add(self, query: Query[..., Any], seconds: float, failure: str | None) -> None:
        """Record that `query` took `seconds`; `failure` says why it failed, if it did."""
        self._times[query] = self._times.get(query, 0) + 1
        now = monotonic()
        if now >= self._next_line.get(query, 0):
            self._next_line[query] = now + INTERVAL
            task = asyncio.create_task(self._log(query, seconds, failure, self._times.pop(query)))
            self._logging.add(task)
            task.add_done_callback(self._logging.discard)

    async def close(self) -> None:
        """Log what is pending, without waiting for plans any longer."""
        self._closing.set()
        await asyncio.gather(*self._logging)

    async def _log(self, query: Query[..., Any], seconds: float, failure: str | None, times: int) -> None:
        plan = None
        for _ in range(PLAN_ATTEMPTS):
            plan = await self._explain(query)
            if plan or self._closing.is_set():
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), timeout=1)
        path = query.statement.path
        file = str(path.relative_to(path.parents[2]))
        fields = {"query": query.name, "file": file, "ms": round(seconds * 1000, 1), "times": times}
        log.warning("slow query", **fields, error=failure, plan=plan)


async def explain(connection: asyncpg.Connection, query: Query[..., Any]) -> str:
    """Return PostgreSQL's generic plan of `query`, without executing it; the plan contains no argument of a request.

    Raises asyncpg.PostgresError, for example if a table is locked.
    """
    nulls = ", ".join(["null"] * len(query.statement.parameters))
    arguments = f"({nulls})" if nulls else ""
    # One transaction, because a pooler could send each statement to another connection.
    async with connection.transaction():
        await connection.execute(f"{SETTINGS} prepare slow_query as {query.sql}")
        lines = await connection.fetch(f"explain execute slow_query{arguments}")
        await connection.execute("deallocate slow_query")
    return "\n".join(line for (line,) in lines)
