"""A span for each statement, if tracing is on; imported only then, because it needs OpenTelemetry."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from service.postgres.database import Connections, Executor, Rows
from service.postgres.queries import Query
from service.telemetry import QUIET


class TracedExecutor:
    """Makes a span of each statement (https://opentelemetry.io/docs/specs/semconv/database/postgresql/)."""

    def __init__(self, executor: Executor, tracer: Tracer) -> None:
        self._executor = executor
        self._tracer = tracer

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` within a span that has its name and its text, and none of `arguments`."""
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


class TracedConnections(TracedExecutor):
    """Connections whose statements are spans."""

    def __init__(self, connections: Connections, tracer: Tracer) -> None:
        super().__init__(connections, tracer)
        self._connections = connections

    def open(self) -> AbstractAsyncContextManager[None]:
        """Be ready until the end of the context."""
        return self._connections.open()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Executor]:
        """Run the statements of the context as one transaction."""
        async with self._connections.transaction() as executor:
            yield TracedExecutor(executor, self._tracer)
