"""Logs: one line per event, on standard output.

No input can start a new line. Errors from PostgreSQL are logged without the values of rows.
"""

import logging
import os
import re
import traceback
from typing import Any

import asyncpg
import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from service.telemetry.access_log import configure_access_log
from service.telemetry.context import current
from service.telemetry.output import stdout

log: structlog.stdlib.BoundLogger = structlog.get_logger("service")
TIMESTAMP = structlog.processors.TimeStamper(fmt="iso")

# Characters that end a line or control a terminal: control characters of ASCII and Latin-1, Unicode line separators.
CONTROL_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x0A: "\\n",
    0x0D: "\\r",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
# For texts of several lines.
ESCAPES_WITHIN_LINES = {code: escape for code, escape in CONTROL_ESCAPES.items() if chr(code) not in "\n\t"}

ARGUMENT_ERROR = re.compile(r"invalid input for query argument \$\d+")


def configure_logging(level: str, log_format: str) -> None:
    """Write all logs, including those of libraries, to standard output, as LOG_LEVEL and LOG_FORMAT specify."""
    configure_access_log(log_format)
    stdout.report = lambda lines: _report_dropped(lines, log_format)
    shared: list[Processor] = [
        _add_request,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        TIMESTAMP,
        structlog.processors.ExceptionRenderer(_format_exception),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(log_format)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


def _report_dropped(lines: int, log_format: str) -> str:
    """Return the line that reports dropped lines. Bypasses the handler, whose lock a waiting thread can hold."""
    if not log.isEnabledFor(logging.WARNING):
        return ""
    event: Any = {"event": "log lines dropped", "lines": lines, "level": "warning", "logger": "service"}
    processors: list[Processor] = [TIMESTAMP, *_renderers(log_format)]
    for processor in processors:
        event = processor(log, "warning", event)
    return f"{event}\n"


def _renderers(log_format: str) -> list[Processor]:
    match log_format:
        case "json":  # escapes everything but printable ASCII
            return [structlog.processors.JSONRenderer()]
        case "logfmt":
            order = ["timestamp", "level", "logger", "event"]
            return [_escape_controls, structlog.processors.LogfmtRenderer(key_order=order, bool_as_flag=False)]
        case _:
            colors = os.isatty(1) and not os.environ.get("NO_COLOR")  # https://no-color.org
            return [_escape_controls, structlog.dev.ConsoleRenderer(colors=colors)]


def _add_request(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the ids of the current request, its user and its trace."""
    if context := current.get():
        event.setdefault("request_id", context.request_id)
        if context.user:
            event.setdefault("user_id", str(context.user))
        if context.trace_id:
            event.setdefault("trace_id", context.trace_id)
    return event


def _escape_controls(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape control characters; tracebacks and plans keep their line breaks."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = value.translate(ESCAPES_WITHIN_LINES if name in {"exception", "plan"} else CONTROL_ESCAPES)
    return event


def _format_exception(exc_info: ExcInfo) -> str:
    """Return the traceback, without the values of rows that PostgreSQL and asyncpg quote."""
    _hide_values(exc_info[1])
    return "".join(traceback.format_exception(*exc_info)).removesuffix("\n")


def _hide_values(error: BaseException | None) -> None:
    """Remove the values of rows from `error`, its parts and causes, in place: the log is their last use."""
    while error is not None:
        for part in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
            _hide_values(part)
        if isinstance(error, asyncpg.PostgresError):
            error.detail = None
            message = str(error.args[0])
            if argument := ARGUMENT_ERROR.match(message):  # from asyncpg; its cause quotes the value too
                error.args, error.__cause__, error.__suppress_context__ = (argument[0],), None, True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
