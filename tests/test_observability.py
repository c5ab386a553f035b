"""docs/observability.md tells what is there, and all of it."""

import re
import subprocess

import pytest

from service.logs import AccessLine
from tests.processes import ROOT, Start, free_port, serving

PAGE = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
TOKEN = "a-token-for-one-test"


def named_in(heading: str) -> set[str]:
    """Return what the first columns of the tables below a heading name."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_each_field_of_the_access_log_is_explained() -> None:
    common = {"timestamp", "level", "logger", "event"}

    assert named_in("Logs") == {*AccessLine.__struct_fields__} - common


@pytest.mark.slow
def test_each_metric_is_explained_and_the_commands_show_them(own_database_url: str, start: Start) -> None:
    port = str(free_port())
    served = start("serve", serving(own_database_url, METRICS_PORT=port, METRICS_TOKEN=TOKEN))
    served.wait_until_ready()
    commands = re.findall(r"^\$ (curl .*)$", PAGE, re.MULTILINE)
    assert len(commands) == 2

    for command in commands:
        here = command.replace("localhost:9100", f"127.0.0.1:{port}").replace(
            "localhost:8000", f"127.0.0.1:{served.port}"
        )
        shell = ["/bin/sh", "-euc", here]
        shown = subprocess.run(shell, capture_output=True, text=True, check=True, env={"METRICS_TOKEN": TOKEN}).stdout

        families = set(re.findall(r"^# TYPE (\w+) ", shown, re.MULTILINE))
        assert named_in("Metrics") - {"method", "route", "status"} == families
