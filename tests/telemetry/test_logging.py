"""The log of a real process."""

import json
import os
import pty
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.support.processes import ROOT, environment

PROGRAM = """
import logging, sys
from service.telemetry import configure_logging, log

configure_logging(*sys.argv[1:])
log.debug("unimportant")
log.info("started", port=8000)
logging.getLogger("uvicorn.error").warning("slow: %s", "Żółw\\nand more")

def fail(password):
    raise ValueError("two\\nlines")

try:
    fail("sesame-" + "open")
except ValueError as error:
    log.error("failed", exc_info=error)
    logging.getLogger("asyncio").exception("failed in a library")
"""

DROPPED = """
import sys
from service.telemetry import configure_logging
from service.telemetry.output import stdout

configure_logging(*sys.argv[1:])
stdout.write(stdout.report(3))
stdout.flush()  # at its end, Python 3.12 starts no thread
"""


def output(level: str, form: str, program: str = PROGRAM) -> str:
    """Return the program's standard output; its standard error must be empty."""
    command = [sys.executable, "-c", program, level, form]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, encoding="utf-8")
    assert run.stderr == ""
    return run.stdout


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Return the lines that a run writes for programs."""
    return output("DEBUG", "json").splitlines()


@pytest.fixture(scope="module")
def entries(lines: list[str]) -> list[dict[str, Any]]:
    """Return the parsed lines."""
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def console() -> str:
    """Return the output of a run for a terminal."""
    return output("DEBUG", "console")


def test_each_event_is_one_line_of_json(entries: list[dict[str, Any]]) -> None:
    assert [(entry["level"], entry["event"]) for entry in entries] == [
        ("debug", "unimportant"),
        ("info", "started"),
        ("warning", "slow: Żółw\nand more"),
        ("error", "failed"),
        ("error", "failed in a library"),
    ]
    assert all(entry["timestamp"].endswith("Z") for entry in entries)


def test_event_fields_have_names(entries: list[dict[str, Any]]) -> None:
    assert entries[1] == {
        "event": "started",
        "port": 8000,
        "level": "info",
        "logger": "service",
        "timestamp": entries[1]["timestamp"],
    }
    assert entries[2]["logger"] == "uvicorn.error"


def test_traceback_is_a_field_of_its_event(entries: list[dict[str, Any]]) -> None:
    for entry in entries[3:]:
        assert entry["exception"].startswith("Traceback (most recent call last):\n")
        assert entry["exception"].endswith("ValueError: two\nlines")


def test_console_log_off_a_terminal_has_no_colours(console: str) -> None:
    entries = [re.sub(" +", " ", line.partition("Z ")[2]) for line in console.splitlines() if line.startswith("20")]

    assert entries == [
        "[debug ] unimportant [service]",
        "[info ] started [service] port=8000",
        "[warning ] slow: Żółw\\nand more [uvicorn.error]",
        "[error ] failed [service]",
        "[error ] failed in a library [asyncio]",
    ]


def test_console_log_has_plain_tracebacks(console: str) -> None:
    assert console.count("\nTraceback (most recent call last):\n") == 2
    assert console.count("\nValueError: two\nlines\n") == 2


def test_no_log_shows_local_variables(lines: list[str], console: str) -> None:
    assert "sesame-open" not in "\n".join([*lines, console])


def test_events_below_the_level_are_left_out(lines: list[str]) -> None:
    events = [json.loads(line)["event"] for line in output("WARNING", "json").splitlines()]

    assert events == [json.loads(line)["event"] for line in lines[2:]]


def test_each_event_is_one_line_of_logfmt() -> None:
    lines = output("DEBUG", "logfmt").splitlines()

    assert [re.sub(r"timestamp=\S+Z ", "", line).partition(" exception=")[0] for line in lines] == [
        "level=debug logger=service event=unimportant",
        "level=info logger=service event=started port=8000",
        'level=warning logger=uvicorn.error event="slow: Żółw\\\\nand more"',
        "level=error logger=service event=failed",
        'level=error logger=asyncio event="failed in a library"',
    ]


CONTROLS = """
import sys
from service.telemetry import configure_logging, log

configure_logging("INFO", sys.argv[2])
log.error("failed", exc_info=ValueError("a\\x1b[31mb\\rc\\u2028d"))
"""


@pytest.mark.parametrize("form", ["json", "logfmt", "console"])
def test_traceback_contains_no_control_characters(form: str) -> None:
    """The message of an error of PostgreSQL can quote what a client sent."""
    assert not set("\x1b\r\u2028") & set(output("INFO", form, CONTROLS))


IN_A_REQUEST = """
from uuid import UUID
from service.telemetry import RequestContext, configure_logging, current, log, set_user

configure_logging("INFO", "json")
set_user(UUID(int=1))  # of no request
log.info("before")
request = RequestContext("6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1a")
current.set(request)
log.info("begun")
set_user(UUID(int=2))
request.trace_id = "0af7651916cd43dd8448eb211c80319c"
log.info("known")
"""


def test_events_of_a_request_carry_request_and_user() -> None:
    command = [sys.executable, "-c", IN_A_REQUEST]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, encoding="utf-8")

    before, begun, known = map(json.loads, run.stdout.splitlines())

    assert not {"request_id", "user_id", "trace_id"} & before.keys()
    assert begun["request_id"] == "6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1a"
    assert not {"user_id", "trace_id"} & begun.keys()
    assert known["user_id"] == "00000000-0000-0000-0000-000000000002"
    assert known["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


ROWS = """
import asyncio, asyncpg, sys
from service.telemetry import configure_logging, log

async def main(url, form):
    configure_logging("INFO", form)
    connection = await asyncpg.connect(url)
    for sql, argument in [
        ("create temporary table secrets (secret text unique)", None),
        ("insert into secrets values ('sesame-open')", None),
        ("insert into secrets values ('sesame-open')", None),
        ("select $1::uuid", "sesame-open"),
        ("select $1::integer", "sesame-open"),
    ]:
        try:
            await connection.fetch(sql, *([argument] if argument else []))
        except Exception as error:
            failure = RuntimeError("it failed")
            failure.__cause__ = ExceptionGroup("as of a TaskGroup", [error])
            log.error("failed", exc_info=failure)
    await connection.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("form", ["json", "logfmt", "console"])
def test_database_errors_are_logged_without_row_values(database_url: str, form: str) -> None:
    command = [sys.executable, "-c", ROWS, database_url, form]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, encoding="utf-8")

    assert run.stdout.count("RuntimeError: it failed") == 3
    assert run.stdout.count("UniqueViolationError: duplicate key value violates unique constraint") == 1
    assert run.stdout.count("DataError: invalid input for query argument $1") == 2
    assert "sesame-open" not in run.stdout.replace("await connection.fetch(sql", "")


IN_COLOUR = """
from service.telemetry import configure_logging, log
configure_logging("INFO", "console")
log.info("started")
"""


@pytest.mark.parametrize(("settings", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
def test_console_log_on_a_terminal_heeds_no_color(settings: dict[str, str], *, coloured: bool) -> None:
    """According to https://no-color.org, an empty value counts as none."""
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", IN_COLOUR], cwd=ROOT, env=environment(settings), stdout=theirs, check=True)
    os.close(theirs)

    line = os.read(ours, 1000)
    os.close(ours)

    assert b"started" in line
    assert (b"\x1b[" in line) is coloured


NOT_FOUND = """
import sys
from service.telemetry import RequestContext, configure_logging, log_request
configure_logging("INFO", sys.argv[1])
log_request(RequestContext("6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1a", None, "/a\\nb"), "GET", None, 404, 0.001)
"""


def test_console_log_names_the_path_of_no_route() -> None:
    run = subprocess.run([sys.executable, "-c", NOT_FOUND, "console"], cwd=ROOT, capture_output=True, check=True)

    assert b"path=/a\\nb " in run.stdout.replace(b"'", b"")
    assert b"status=404" in run.stdout


@pytest.mark.parametrize(("level", "lines"), [("WARNING", 1), ("ERROR", 0)])
def test_report_of_dropped_lines_is_a_warning(level: str, lines: int) -> None:
    assert output(level, "logfmt", DROPPED).count('event="log lines dropped" lines=3\n') == lines
