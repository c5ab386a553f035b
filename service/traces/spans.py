"""OpenTelemetry traces: one span per request and one per query, named after its file.

A thread exports them by OTLP over HTTP. The standard OTEL_ variables enable and configure it; without them, this module
is not imported. See https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
"""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import asyncpg
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, format_trace_id
from typing_extensions import override

from service import __version__
from service.http import Application
from service.postgres import Count, Database, Executor, PoolLike, Query, Rows, WrappedPool
from service.telemetry import current

# Seconds to export the last spans at the end of the process; the collector can be unreachable.
FLUSH_TIMEOUT = 2.0
# Other methods become _OTHER, because clients can invent any number of them:
# https://opentelemetry.io/docs/specs/semconv/http/http-spans/
KNOWN_METHODS = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
# Spans have no exception messages, because these can quote what clients sent.
NO_EXCEPTIONS: Mapping[str, Any] = {"record_exception": False, "set_status_on_exception": False}


class Traces:
    """Records spans, and exports them as the environment configures."""

    def __init__(self) -> None:
        own = Resource.create({SERVICE_NAME: "service", SERVICE_VERSION: __version__})
        resource = own.merge(OTELResourceDetector().detect())  # the environment can give others
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("service", __version__)

    def record(self, app: Application, handler: ASGIApp) -> ASGIApp:
        """Record the requests that `handler` answers and the queries of `app`; return the handler to use instead."""
        app.db = Database(TracedPool(app.db.pool, self._tracer))
        app.on_shutdown.append(self.flush)
        return self.middleware(handler)

    async def flush(self) -> None:
        """Export the remaining spans, for up to FLUSH_TIMEOUT seconds."""
        # The export can take 30 s. At exit, Python waits for the threads of executors, but not for this one.
        thread = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, FLUSH_TIMEOUT)

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Wrap `app`: record a span for each request, in the trace of its ``traceparent`` (W3C Trace Context).

        The response's ``traceparent`` identifies the span.
        """

        async def trace(scope: Scope, receive: Receive, send: Send) -> None:
            method = scope["method"] if scope["method"] in KNOWN_METHODS else "_OTHER"  # type: ignore[typeddict-item]  # only HTTP requests reach it
            status = 500
            headers: dict[str, list[str]] = {}
            for key, value in scope["headers"]:
                headers.setdefault(key.decode("latin-1"), []).append(value.decode("latin-1"))
            parent = propagate.extract(headers)
            attributes = {"http.request.method": method, **_attributes(scope, headers)}
            name = "HTTP" if method == "_OTHER" else method
            with self._tracer.start_as_current_span(name, parent, SpanKind.SERVER, attributes, **NO_EXCEPTIONS) as span:
                carrier: dict[str, str] = {}
                propagate.inject(carrier)
                if context := current.get():
                    context.trace_id = format_trace_id(span.get_span_context().trace_id)

                async def send_with_context(message: Message) -> None:
                    nonlocal status
                    if message["type"] == "http.response.start":
                        status = message["status"]
                        trace_headers = [(key.encode(), value.encode()) for key, value in carrier.items()]
                        message["headers"] = [*message["headers"], *trace_headers]
                    await send(message)

                try:
                    await app(scope, receive, send_with_context)
                finally:
                    if route := scope.get("path_template"):
                        span.update_name(f"{name} {route}")
                        span.set_attribute("http.route", str(route))
                    _set_status(span, status)

        return trace


def _set_status(span: Span, status: int) -> None:
    """Set the status of a server span; client errors (4xx) are not errors of the server."""
    span.set_attribute("http.response.status_code", status)
    if status >= 500:  # noqa: PLR2004 - RFC 9110, 15.6
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))


def _attributes(scope: Scope, headers: Mapping[str, list[str]]) -> dict[str, str]:
    """Return the attributes of a request, without its query string, which can contain secrets."""
    found = {
        "url.path": scope["path"],
        "url.scheme": scope.get("scheme", "http"),
        "client.address": context.client if (context := current.get()) else None,
        "user_agent.original": headers.get("user-agent", [None])[0],
    }
    return {name: str(value) for name, value in found.items() if value}


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
        with self._tracer.start_as_current_span(query.name, None, SpanKind.CLIENT, attributes, **NO_EXCEPTIONS) as span:
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
