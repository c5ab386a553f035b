"""Logs: one line an event, on standard output.

Nothing that anybody sends can end a line or begin another. Errors of PostgreSQL are told without the values of rows.
"""

import asyncio
import logging
import re
import select
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, BinaryIO
from uuid import UUID

import asyncpg
import msgspec
import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from service.telemetry.context import RequestContext, current

log: structlog.stdlib.BoundLogger = structlog.get_logger("service")
access_log: structlog.stdlib.BoundLogger = structlog.get_logger("service.access")
_access_logger = logging.getLogger("service.access")
encode = msgspec.json.Encoder().encode

# Seconds that a line of the access log may wait for others, to be written with them.
DELAY = 0.05
# So much, in bytes, a pipe takes in one piece (pipe(7)): the lines of several workers do not mix.
PIECE = getattr(select, "PIPE_BUF", 512)
# What could end a line, or speak to a terminal: the controls of ASCII and Latin-1, and Unicode's separators of lines.
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x0A: "\\n",
    0x0D: "\\r",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}

ARGUMENT = re.compile(r"invalid input for query argument \$\d+")


class Lines:
    """Standard output, line by line. Where it cannot be written, lines are lost and requests go on."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, line: bytes) -> None:
        """Write `line` soon: a write costs as much as making it, and one takes many lines. Needs the event loop."""
        if self._size + len(line) > PIECE:
            self.flush()
        if not self._lines:
            asyncio.get_running_loop().call_later(DELAY, self.flush)
        self._lines.append(line)
        self._size += len(line)

    def write(self, text: str) -> None:
        """Take the text of a logging handler, which flushes behind it."""
        self.flush()
        self._lines.append(text.encode(errors="backslashreplace"))

    def flush(self) -> None:
        """Write all lines."""
        lines, self._lines, self._size = self._lines, [], 0
        with suppress(OSError, ValueError):  # nobody reads it, the disk is full, it is closed
            self._stream.write(b"".join(lines))
            self._stream.flush()


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


# Levels of a line, as logging and structlog call them.
INFO, WARNING, ERROR = (logging.INFO, "info"), (logging.WARNING, "warning"), (logging.ERROR, "error")
# Where the access log goes as JSON, by the short way: 4 µs a line, where structlog takes a hundred.
_json: Lines | None = None


def log_request(context: RequestContext, method: str, route: str | None, status: int, seconds: float) -> None:
    """Log a request to `route`, a path template, that has been answered with `status` after `seconds`.

    The line is an error where the mistake is ours (500 and above), and a warning where we could not answer (503): why,
    is told once by whoever sees it change, not by each request.
    """
    level = INFO if status < 500 else WARNING if status == 503 else ERROR  # noqa: PLR2004 - RFC 9110, 15.6
    if not _access_logger.isEnabledFor(level[0]):
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
    if _json:
        _json.add(encode(line) + b"\n")
    else:
        fields: dict[str, Any] = msgspec.to_builtins(line)
        for name in ("timestamp", "level", "logger"):
            fields.pop(name)
        access_log.log(level[0], fields.pop("event"), **fields)


def flush_logs() -> None:
    """Write what waits to be written, at the end of a process."""
    if _json:
        _json.flush()


def configure_logging(level: str, form: str) -> None:
    """Send every log, the libraries' too, to standard output at `level`, as ``json``, ``logfmt`` or ``console``."""
    global _json  # noqa: PLW0603 - a process has one standard output
    lines = Lines(sys.stdout.buffer)
    _json = lines if form == "json" else None
    shared: list[Processor] = [
        _of_request,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.ExceptionRenderer(_format_exception),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(form)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


def _renderers(form: str) -> list[Processor]:
    match form:
        case "json":  # escapes all that is not printable ASCII
            return [structlog.processors.JSONRenderer()]
        case "logfmt":
            order = ["timestamp", "level", "logger", "event"]
            return [_escape, structlog.processors.LogfmtRenderer(key_order=order, bool_as_flag=False)]
        case _:
            return [_escape, structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]


def _of_request(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Say in which request it happened, and whose that is."""
    if context := current.get():
        event.setdefault("request_id", context.request_id)
        if context.user:
            event.setdefault("user_id", str(context.user))
        if context.trace_id:
            event.setdefault("trace_id", context.trace_id)
    return event


def _escape(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Show controls as what they are; a traceback and a plan keep their lines."""
    for name, value in event.items():
        if isinstance(value, str) and name not in {"exception", "plan"}:
            event[name] = value.translate(CONTROLS)
    return event


def _format_exception(exc_info: ExcInfo) -> str:
    """Return the traceback, without local variables and without what PostgreSQL and asyncpg quote of rows."""
    _hide_values(exc_info[1])
    return "".join(traceback.format_exception(*exc_info)).removesuffix("\n")


def _hide_values(error: BaseException | None) -> None:
    """Take the values out of `error` and of what led to it; nobody reads them after the log."""
    while error is not None:
        if isinstance(error, asyncpg.PostgresError):
            error.detail = None
            sentence = str(error.args[0])
            if argument := ARGUMENT.match(sentence):  # asyncpg's own; its cause says the value once more
                error.args, error.__cause__, error.__suppress_context__ = (argument[0],), None, True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
