"""What stands in the log, read from a real process."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import logging, sys
from service import logs

logs.configure(*sys.argv[1:])
logs.log.debug("unimportant")
logs.log.info("started", port=8000)
logging.getLogger("uvicorn.error").warning("slow: %s", "Żółw\\nand more")

def fail(password):
    raise ValueError("two\\nlines")

try:
    fail("sesame-" + "open")
except ValueError as error:
    logs.log.error("failed", exc_info=error)
    logging.getLogger("asyncio").exception("failed in a library")
"""


def output(level: str, form: str) -> str:
    """Return what the program writes to standard output; to standard error, nothing goes."""
    command = [sys.executable, "-c", PROGRAM, level, form]
    run = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, check=True, encoding="utf-8")
    assert run.stderr == ""
    return run.stdout


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Return what one run writes for programs."""
    return output("DEBUG", "json").splitlines()


@pytest.fixture(scope="module")
def entries(lines: list[str]) -> list[dict[str, Any]]:
    """Return what these lines say."""
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def console() -> str:
    """Return what one run writes for people."""
    return output("DEBUG", "console")


def test_each_entry_is_one_line_of_json_with_time_and_level(entries: list[dict[str, Any]]) -> None:
    assert [(entry["level"], entry["event"]) for entry in entries] == [
        ("debug", "unimportant"),
        ("info", "started"),
        ("warning", "slow: Żółw\nand more"),
        ("error", "failed"),
        ("error", "failed in a library"),
    ]
    assert all(entry["timestamp"].endswith("Z") for entry in entries)


def test_what_an_entry_is_about_has_names(entries: list[dict[str, Any]]) -> None:
    assert entries[1] == {"event": "started", "port": 8000, "level": "info", "timestamp": entries[1]["timestamp"]}


def test_a_traceback_is_a_text_in_its_entry(entries: list[dict[str, Any]]) -> None:
    for entry in entries[3:]:
        assert entry["exception"].startswith("Traceback (most recent call last):\n")
        assert entry["exception"].endswith("ValueError: two\nlines")


def test_people_get_lines_without_colours_where_they_are_not_on_a_terminal(console: str) -> None:
    entries = [re.sub(" +", " ", line.partition("Z ")[2]) for line in console.splitlines() if line.startswith("20")]

    assert entries == [
        "[debug ] unimportant",
        "[info ] started port=8000",
        "[warning ] slow: Żółw",
        "[error ] failed",
        "[error ] failed in a library",
    ]


def test_people_get_plain_tracebacks(console: str) -> None:
    assert console.count("\nTraceback (most recent call last):\n") == 2
    assert console.count("\nValueError: two\nlines\n") == 2


def test_no_log_shows_local_variables(lines: list[str], console: str) -> None:
    assert "sesame-open" not in "\n".join([*lines, console])


def test_what_is_below_the_level_is_left_out(lines: list[str]) -> None:
    events = [json.loads(line)["event"] for line in output("WARNING", "json").splitlines()]

    assert events == [json.loads(line)["event"] for line in lines[2:]]
