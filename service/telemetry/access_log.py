"""The access log: one line per request, written by `http/middleware.py`, or by `server/cycle.py` for rejected ones."""

import logging
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog

from service.telemetry.context import RequestContext
from service.telemetry.output import stdout

_logger = logging.getLogger("service.access")
_encode = msgspec.json.Encoder().encode
# Each level: logging's number, structlog's name.
INFO, WARNING, ERROR = (logging.INFO, "info"), (logging.WARNING, "warning"), (logging.ERROR, "error")
_format = "console"  # LOG_FORMAT


class AccessLine(msgspec.Struct, omit_defaults=True, gc=False):
    """A line of the access log; times are in milliseconds."""

    timestamp: datetime
    level: str
    logger: str
    event: str
    request_id: str
    method: str
    route: str | None
    status: int
    duration_ms: float
    db_ms: float
    queries: int
    wait_ms: float = 0
    user_id: UUID | None = None
    client: str | None = None
    trace_id: str | None = None
    reason: str | None = None


def configure_access_log(log_format: str) -> None:
    """Set the format, as in LOG_FORMAT."""
    global _format  # noqa: PLW0603 - a process has one standard output
    _format = log_format


def log_request(  # noqa: PLR0913 - one parameter per field
    context: RequestContext, method: str, route: str | None, status: int, seconds: float, *, reason: str | None = None
) -> None:
    """Log a request to `route`, a path template, that got the response `status` after `seconds`.

    A `reason` says why the server itself rejected it.

    The level is error for status 500 and above, except 501, which the request causes, and 503, which is a warning: the
    code that detects the outage logs its cause once.
    """
    level = INFO if status < 500 or status == 501 else WARNING if status == 503 else ERROR  # noqa: PLR2004 - RFC 9110, 15.6
    if not _logger.isEnabledFor(level[0]):
        return
    line = AccessLine(
        datetime.now(UTC),
        level[1],
        "service.access",
        "request",
        context.request_id,
        method,
        route,
        status,
        int(seconds * 1e6) / 1e3,
        int(context.database_seconds * 1e6) / 1e3,
        context.queries,
        int(context.waited_seconds * 1e6) / 1e3 if context.waited_seconds else 0,
        context.user,
        context.client,
        context.trace_id,
        reason,
    )
    if _format == "json":  # bypasses structlog, which is much slower
        stdout.add(_encode(line) + b"\n", later=True)
        return
    fields: dict[str, Any] = msgspec.to_builtins(line)
    for name in ("timestamp", "level", "logger"):
        fields.pop(name)
    if route is None and _format == "console":
        fields["path"] = context.path
    structlog.get_logger(_logger.name).log(level[0], fields.pop("event"), **fields)
