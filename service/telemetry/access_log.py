"""The access log: one line for each request, from the middleware, or from the server if no application sees it."""

import logging
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog

from service.telemetry.context import RequestContext
from service.telemetry.output import stdout

access_log: structlog.stdlib.BoundLogger = structlog.get_logger("service.access")
_logger = logging.getLogger("service.access")
_encode = msgspec.json.Encoder().encode
# The levels of a line, as logging and structlog call them.
INFO, WARNING, ERROR = (logging.INFO, "info"), (logging.WARNING, "warning"), (logging.ERROR, "error")
# How the log looks: LOG_FORMAT.
_form = "console"


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


def configure_access_log(form: str) -> None:
    """Write lines as ``json``, or as the handlers of logging do."""
    global _form  # noqa: PLW0603 - a process has one standard output
    _form = form


def log_request(context: RequestContext, method: str, route: str | None, status: int, seconds: float) -> None:
    """Log a request to `route`, the template of its path, that has been answered with `status` after `seconds`.

    The level is error for a fault of the service (500 and above), and warning for 503: its cause is logged once by the
    code that detects it, and not for each request.
    """
    level = INFO if status < 500 else WARNING if status == 503 else ERROR  # noqa: PLR2004 - RFC 9110, 15.6
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
    )
    if _form == "json":  # past structlog, which takes far longer
        stdout.add(_encode(line) + b"\n", later=True)
        return
    fields: dict[str, Any] = msgspec.to_builtins(line)
    for name in ("timestamp", "level", "logger"):
        fields.pop(name)
    if route is None and _form == "console":
        fields["path"] = context.path
    access_log.log(level[0], fields.pop("event"), **fields)
