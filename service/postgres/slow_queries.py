"""Logs queries that take long, by the name of their file and with PostgreSQL's plan for them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Any

import asyncpg

from service.postgres.queries import Query
from service.telemetry import log

# Seconds: between two lines on one query, and for a connection to be idle that can be asked for the plan.
PAUSE, PATIENCE = 60.0, 10


class SlowQueries:
    """Logs each slow query, at most once a minute and with how often it was slow meanwhile.

    The plan is requested after the query has been answered, on a connection that is idle. If none is idle within ten
    seconds, or PostgreSQL is too busy to explain, the line has no plan.
    """

    def __init__(self, ask_plan: Callable[[Query[..., Any]], Awaitable[str | None]]) -> None:
        """Get a query's plan from `ask_plan`, which returns None if it cannot get one now."""
        self._ask_plan = ask_plan
        self._times: dict[Query[..., Any], int] = {}
        self._again_at: dict[Query[..., Any], float] = {}
        self._closing = asyncio.Event()
        self._telling: set[asyncio.Task[None]] = set()

    def note(self, query: Query[..., Any], seconds: float) -> None:
        """Note that `query` took so many seconds."""
        self._times[query] = self._times.get(query, 0) + 1
        now = monotonic()
        if now >= self._again_at.get(query, 0):
            self._again_at[query] = now + PAUSE
            task = asyncio.create_task(self._tell(query, seconds, self._times.pop(query)))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Log the last ones now, with a plan or without."""
        self._closing.set()
        await asyncio.gather(*self._telling)

    async def _tell(self, query: Query[..., Any], seconds: float, times: int) -> None:
        plan = None
        for _ in range(PATIENCE):
            plan = await self._ask_plan(query)
            if plan or self._closing.is_set():
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), timeout=1)
        path = query.statement.path
        file = str(path.relative_to(path.parents[2]))
        log.warning("slow query", query=query.name, file=file, ms=round(seconds * 1000, 1), times=times, plan=plan)


async def explain(connection: asyncpg.Connection, query: Query[..., Any]) -> str:
    """Return the plan that PostgreSQL makes of `query` for whatever arguments; it is not executed.

    All is one transaction, because a pooler may give each to another connection. No value of a request is in it.
    Raises asyncpg.PostgresError, when a lock is not to be had at once, say.
    """
    async with connection.transaction():
        await connection.execute(_prepare(query))
        lines = await connection.fetch(_explain(query))
        await connection.execute("deallocate slow_query")
    return "\n".join(line for (line,) in lines)


# built-sql: ok PREPARE and EXPLAIN take no parameters: these texts are made of the query's file alone.
def _prepare(query: Query[..., Any]) -> str:
    once = "set local plan_cache_mode = force_generic_plan; set local lock_timeout = '100ms'; "
    return f"{once}prepare slow_query as {query.sql}"


def _explain(query: Query[..., Any]) -> str:
    nulls = ", ".join(["null"] * len(query.statement.parameters))
    return f"explain execute slow_query({nulls})" if nulls else "explain execute slow_query"
