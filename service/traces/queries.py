"""Records a span for each statement."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from service.postgres import Executor, PoolLike, Query, Rows
from service.timeouts import DatabaseTimeouts

# Spans have no exception messages, because these can quote what clients sent.
QUIET: Mapping[str, Any] = {"record_exception": False, "set_status_on_exception": False}


class TracedExecutor:
    """Runs statements, each in a span (https://opentelemetry.io/docs/specs/semconv/database/postgresql/)."""

    def __init__(self, executor: Executor, tracer: Tracer) -> None:
        self._executor = executor
        self._tracer = tracer

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` in a span with its name and text, but without `arguments`."""
        attributes = {
            "db.system.name": "postgresql",
            "db.query.summary": query.name,
            "db.query.text": query.sql,
        }
        with self._tracer.start_as_current_span(query.name, None, SpanKind.CLIENT, attributes, **QUIET) as span:
            try:
                rows = await self._executor.fetch(query, arguments)
            except Exception as error:
                cause = error if isinstance(error, asyncpg.PostgresError) else error.__cause__
                if isinstance(cause, asyncpg.PostgresError) and cause.sqlstate:
                    span.set_attribute("db.response.status_code", cause.sqlstate)
                span.set_attribute("error.type", type(cause or error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise
            span.set_attribute("db.response.returned_rows", len(rows))
            return rows


class TracedPool(TracedExecutor):
    """A pool whose statements each run in a span."""

    def __init__(self, pool: PoolLike, tracer: Tracer) -> None:
        super().__init__(pool, tracer)
        self._pool = pool

    @property
    def timeouts(self) -> DatabaseTimeouts:
        """The time limits of the pool."""
        return self._pool.timeouts

    def open(self) -> AbstractAsyncContextManager[None]:
        """Provide connections until the end of the context."""
        return self._pool.open()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Executor]:
        """Run the statements of the context as one transaction."""
        async with self._pool.transaction() as executor:
            yield TracedExecutor(executor, self._tracer)
