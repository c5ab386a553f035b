"""Logs: one line for each event, on standard output.

No input can end a line or begin another. Errors of PostgreSQL are logged without the values of rows.
"""

import logging
import os
import re
import sys
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

# What could end a line, or speak to a terminal: the controls of ASCII and Latin-1, and Unicode's separators of lines.
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x0A: "\\n",
    0x0D: "\\r",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}

ARGUMENT = re.compile(r"invalid input for query argument \$\d+")


def configure_logging(level: str, form: str) -> None:
    """Send every log, the libraries' too, to standard output at `level`, as ``json``, ``logfmt`` or ``console``."""
    configure_access_log(form)
    stdout.open()
    stdout.report = lambda lines: _report_dropped(lines, form)
    shared: list[Processor] = [
        _of_request,
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
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(form)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


def _report_dropped(lines: int, form: str) -> str:
    """Return the line that reports dropped lines. It does not pass a handler, whose lock a waiting thread can hold."""
    if not log.isEnabledFor(logging.WARNING):
        return ""
    event: Any = {"event": "log lines dropped", "lines": lines, "level": "warning", "logger": "service"}
    processors: list[Processor] = [TIMESTAMP, *_renderers(form)]
    for processor in processors:
        event = processor(log, "warning", event)
    return f"{event}\n"


def _renderers(form: str) -> list[Processor]:
    match form:
        case "json":  # escapes all that is not printable ASCII
            return [structlog.processors.JSONRenderer()]
        case "logfmt":
            order = ["timestamp", "level", "logger", "event"]
            return [_escape, structlog.processors.LogfmtRenderer(key_order=order, bool_as_flag=False)]
        case _:
            colors = sys.stdout.isatty() and not os.environ.get("NO_COLOR")  # https://no-color.org
            return [_escape, structlog.dev.ConsoleRenderer(colors=colors)]


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
