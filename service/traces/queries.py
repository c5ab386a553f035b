"""Records a span for each statement."""

from collections.abc import Mapping
from typing import Any

import asyncpg
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from typing_extensions import override

from service.postgres import Count, Executor, PoolLike, Query, Rows, WrappedPool

# Spans have no exception messages, because these can quote what clients sent.
QUIET: Mapping[str, Any] = {"record_exception": False, "set_status_on_exception": False}


class TracedPool(WrappedPool):
    """Runs each statement in a span (https://opentelemetry.io/docs/specs/semconv/database/postgresql/)."""

    def __init__(self, pool: PoolLike, tracer: Tracer) -> None:
        """Wrap `pool`; `tracer` records the spans."""
        super().__init__(pool)
        self._tracer = tracer

    @override
    async def run(self, executor: Executor, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` in a span with its name and text, but without `arguments`."""
        attributes = {
            "db.system.name": "postgresql",
            "db.query.summary": query.name,
            "db.query.text": query.sql,
        }
        with self._tracer.start_as_current_span(query.name, None, SpanKind.CLIENT, attributes, **QUIET) as span:
            try:
                rows = await super().run(executor, query, arguments)
            except Exception as error:
                cause = error if isinstance(error, asyncpg.PostgresError) else error.__cause__
                if isinstance(cause, asyncpg.PostgresError) and cause.sqlstate:
                    span.set_attribute("db.response.status_code", cause.sqlstate)
                span.set_attribute("error.type", type(cause or error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise
            if not isinstance(query, Count):  # its row is made of the number of changed rows
                span.set_attribute("db.response.returned_rows", len(rows))
            return rows
