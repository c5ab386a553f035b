"""docs/observability.md lists every metric and log field, and no others."""

import re
import subprocess

import pytest

from service.telemetry.access_log import AccessLine
from tests.support.processes import ROOT, Serve, free_port
from tests.support.programs import needs

PAGE = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
TOKEN = "a-token-for-one-test"
# PromQL functions: https://prometheus.io/docs/prometheus/latest/querying/functions/
FUNCTIONS = {"histogram_quantile"}


def named_in(heading: str) -> set[str]:
    """Return the names in the first columns of the tables below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_alert_uses_documented_metrics() -> None:
    alerts = re.findall(r"^```promql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0]
    said = named_in("Metrics")

    asked = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", re.sub(r"#.*|\{.*?\}", "", alerts))) - FUNCTIONS
    assert {name.removesuffix("_bucket") for name in asked} <= said
    assert len(asked) >= 7
    assert set(re.findall(r"[{,](\w+)[=!]", alerts)) <= set(re.findall(r"`(\w+)`", PAGE))


def test_no_alert_counts_health_checks() -> None:
    """They outnumber other requests where there are few, and fail on purpose while a process drains."""
    selectors = re.findall(r"\bhttp_\w+(.*?)\[5m\]", PAGE)

    assert len(selectors) == 3
    assert [each for each in selectors if 'route!~"/health/.*"' not in each] == []


def test_every_access_log_field_is_documented() -> None:
    common = {"timestamp", "level", "logger", "event"}

    fields = {*AccessLine.__struct_fields__} - common
    assert named_in("Logs") == fields, "correct the table of fields in docs/observability.md"


@needs("curl")
@pytest.mark.slow
def test_every_metric_is_documented_and_shown(own_database_url: str, serve: Serve) -> None:
    port = str(free_port())
    served = serve(own_database_url, METRICS_PORT=port, METRICS_TOKEN=TOKEN)
    commands = re.findall(r"^\$ (curl .*)$", PAGE, re.MULTILINE)
    assert len(commands) == 2

    for command in commands:
        here = command.replace("localhost:9100", f"127.0.0.1:{port}").replace(
            "localhost:8000", f"127.0.0.1:{served.port}"
        )
        shell = ["/bin/sh", "-euc", here]
        shown = subprocess.run(shell, capture_output=True, text=True, check=True, env={"METRICS_TOKEN": TOKEN}).stdout

        families = set(re.findall(r"^# TYPE (\w+) ", shown, re.MULTILINE))
        assert named_in("Metrics") == families, "correct the table of metrics in docs/observability.md"
