"""The OTEL_ variables that enable traces.

OpenTelemetry itself reads all others:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
"""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from service.settings import SettingsError

if TYPE_CHECKING:  # slow to import
    from litestar.types import ASGIApp

    from service.http import Application


def record_traces(app: "Application", handler: "ASGIApp") -> "ASGIApp":
    """Record a span for each request that `handler` answers and each query of `app.db`, if the environment asks for it.

    Returns the handler to use instead. Raises SettingsError.
    """
    if not check_trace_variables():
        return handler
    from service.traces.spans import Traces  # noqa: PLC0415 - OpenTelemetry is an extra

    try:
        return Traces().record(app, handler)
    except ValueError as error:  # such as OTEL_BSP_SCHEDULE_DELAY=-1
        raise SettingsError(f"an OTEL_ variable is not valid: {error}") from None


def check_trace_variables(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the OpenTelemetry variables name a receiver of traces.

    Raises SettingsError if the receiver's address is not valid, or if OpenTelemetry cannot do what they ask for.
    """
    given = {name: text for name, text in environment.items() if text}
    endpoints = given.keys() & {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}
    disabled = given.get("OTEL_SDK_DISABLED", "").lower() == "true" or given.get("OTEL_TRACES_EXPORTER") == "none"
    if not endpoints or disabled:
        return False
    for name in endpoints:
        if not _is_url(given[name]):
            raise SettingsError(f"{name} must look like http://localhost:4318, not {given[name]!r}")
    for name in ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"):
        if given.get(name, "http/protobuf") != "http/protobuf":
            raise SettingsError(f"{name} must be http/protobuf, not {given[name]!r}; its usual port is 4318")
    if find_spec("opentelemetry") is None:
        raise SettingsError(
            f"{min(endpoints)} needs OpenTelemetry: pip install -r requirements-traces.txt,"
            " or docker build --build-arg EXTRAS=traces"
        )
    return True


def _is_url(text: str) -> bool:
    """Return whether `text` is a URL to which OTLP can be sent."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port above 65535
        return False
