"""Traces, by OpenTelemetry: a span a request, and one a query, named by its file.

Its own variables, https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/, turn it on and set
it; where they do not, none of this is imported. Spans leave by OTLP over HTTP, from a thread of their own.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, format_trace_id
from typing_extensions import override

from service import __version__
from service.telemetry.context import current

Headers = list[tuple[bytes, bytes]]
# https://opentelemetry.io/docs/specs/semconv/http/http-spans/: another method is not told, for anybody may make one up.
METHODS = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
# Exceptions may quote what was sent: a span tells only their type.
QUIET: Mapping[str, Any] = {"record_exception": False, "set_status_on_exception": False}


class Traces:
    """Makes spans of requests and queries, and sends them where the environment says."""

    def __init__(self) -> None:
        given = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        name = {} if given else {SERVICE_NAME: "service"}
        resource = Resource.create({SERVICE_VERSION: __version__, **name})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer = self._provider.get_tracer("service", __version__)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send what is left at the end of the context."""
        yield
        await asyncio.to_thread(self._provider.shutdown)

    def requests(self, app: ASGIApp) -> ASGIApp:
        """Wrap `app`: each request is a span, and part of the trace that ``traceparent`` names (W3C Trace Context).

        The answer's ``traceparent`` names the span.
        """

        async def trace(scope: Scope, receive: Receive, send: Send) -> None:
            method = scope["method"] if scope["method"] in METHODS else "_OTHER"  # type: ignore[typeddict-item]  # HTTP's scope
            status = 500
            given = propagate.extract(list(scope["headers"]), getter=HEADERS)
            attributes = {"http.request.method": method, **_attributes(scope)}
            name = "HTTP" if method == "_OTHER" else method
            with self.tracer.start_as_current_span(name, given, SpanKind.SERVER, attributes, **QUIET) as span:
                carrier: dict[str, str] = {}
                propagate.inject(carrier)
                if context := current.get():
                    context.trace_id = format_trace_id(span.get_span_context().trace_id)

                async def send_with_context(message: Message) -> None:
                    nonlocal status
                    if message["type"] == "http.response.start":
                        status = message["status"]
                        named = [(key.encode(), value.encode()) for key, value in carrier.items()]
                        message["headers"] = [*message["headers"], *named]
                    await send(message)

                try:
                    await app(scope, receive, send_with_context)
                finally:
                    if route := scope.get("path_template"):
                        span.update_name(f"{name} {route}")
                        span.set_attribute("http.route", str(route))
                    _tell_status(span, status)

        return trace


class _Headers(Getter[Headers]):
    """How OpenTelemetry reads the headers of an ASGI scope."""

    @override
    def get(self, carrier: Headers, key: str) -> list[str] | None:
        return [value.decode("latin-1") for name, value in carrier if name == key.encode()] or None

    @override
    def keys(self, carrier: Headers) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier]


HEADERS = _Headers()


def _tell_status(span: Span, status: int) -> None:
    """Say how it was answered; what is the client's mistake is no error of the server's span."""
    span.set_attribute("http.response.status_code", status)
    if status >= 500:  # noqa: PLR2004 - RFC 9110, 15.6
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))


def _attributes(scope: Scope) -> dict[str, str]:
    """Return what is known of a request before it is answered; not its query string, where secrets could be."""
    agent = HEADERS.get(scope["headers"], "user-agent")  # type: ignore[arg-type]  # a list, with uvicorn
    found = {
        "url.path": scope["path"],
        "url.scheme": scope.get("scheme", "http"),
        "client.address": context.client if (context := current.get()) else None,
        "user_agent.original": agent[0] if agent else None,
    }
    return {name: str(value) for name, value in found.items() if value}
