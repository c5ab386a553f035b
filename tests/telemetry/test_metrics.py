"""Metrics recorded by one process and by several."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from service.app import create_app
from service.postgres.queries import Value
from service.telemetry import metrics
from service.telemetry.metrics import counter, gauge, recorder
from service.telemetry.prometheus import render_metrics
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import log_in, service_client
from tests.support.metrics import TOKEN, ServiceWithMetrics, samples
from tests.support.processes import ROOT, environment
from tests.support.statements import Statements

KITES = counter("kites_total", "Kites", colour=("red", "blue"), size=("small", "large"))
CRASHES = counter("kite_crashes_total", "Kites that fell")
WIND = gauge("wind_speed", "The wind, as the last worker that looked has seen it", is_latest=True)


async def test_requests_are_counted_by_route_and_status(measured: ServiceWithMetrics) -> None:
    user = await measured.make.user()
    one, other = [f"/auth/sessions/{uuid4()}" for _ in range(2)]
    for path in (one, other, "/nowhere", "/a%0a"):
        await measured.client.delete(path, headers=user.bearer)
    await measured.client.delete(one)
    await measured.client.request("BREW", one)

    assert measured["http_requests_total method=DELETE route=/auth/sessions/{session_id} status=404"] == 2
    assert measured["http_requests_total method=DELETE route=/auth/sessions/{session_id} status=401"] == 1
    assert measured["http_requests_total method= route=(none) status=404"] == 2
    assert measured["http_requests_total method= route=(none) status=405"] == 1
    assert measured["http_request_duration_seconds_count method=DELETE route=/auth/sessions/{session_id}"] == 3
    assert 0 < measured["http_request_duration_seconds_sum method=DELETE route=/auth/sessions/{session_id}"] < 3


def test_failures_are_counted_from_0(measured: ServiceWithMetrics) -> None:
    """Otherwise Prometheus misses the first one of each route, and an alert on it."""
    failures = [f"http_requests_total method=GET route=/users/me status={status}" for status in (500, 503)]

    assert [measured[each] for each in failures] == [0, 0]


def test_slower_request_is_in_a_later_bucket(measured: ServiceWithMetrics) -> None:
    for seconds in (0.0004, 0.03, 0.05, 9):
        recorder.request("GET", "/users/me", 200, seconds)
        recorder.query("users.show_me", seconds, 0)

    for histogram in (
        "http_request_duration_seconds_bucket le={} method=GET route=/users/me",
        "sql_query_duration_seconds_bucket le={} query=users.show_me",
    ):
        buckets = [measured[histogram.format(bound)] for bound in ("0.001", "0.025", "0.05", "2.5", "+Inf")]
        assert buckets == [1, 1, 3, 3, 4]


async def test_queries_are_counted_by_file(measured: ServiceWithMetrics) -> None:
    user = await measured.make.user()
    for _ in range(2):
        await measured.make.session(user.id, user.email)
    for _ in range(2):
        await measured.client.get("/auth/sessions", headers=user.bearer)
    await measured.client.delete("/auth/sessions", headers=user.bearer)

    assert measured["sql_query_duration_seconds_count query=auth.list_my_sessions"] == 2
    assert measured["sql_query_duration_seconds_bucket le=+Inf query=auth.list_my_sessions"] == 2
    assert 0 < measured["sql_query_duration_seconds_sum query=auth.list_my_sessions"] < 2
    assert measured["sql_query_rows_total query=auth.list_my_sessions"] == 6
    assert measured["sql_query_errors_total query=auth.list_my_sessions"] == 0


async def test_count_query_counts_changed_rows(measured: ServiceWithMetrics) -> None:
    user = await measured.make.user()

    await measured.client.post("/auth/logout", json={"refresh_token": user.tokens.refresh_token})

    assert measured["sql_query_rows_total query=auth.end_session"] == 1


async def test_failed_query_is_an_error(measured: ServiceWithMetrics) -> None:
    account = {"email": "ada@example.com", "password": "a password for one test"}
    for _ in range(2):
        await measured.client.post("/users/register", json=account)

    assert measured["sql_query_errors_total query=users.register_user"] == 1
    assert measured["sql_query_duration_seconds_count query=users.register_user"] == 2


async def test_unnamed_query_is_not_counted(measured: ServiceWithMetrics, statement: Statements) -> None:
    query: Value[..., int] = Value(statement("value integer", "select 1"), int)

    await measured.app.db.value(query)

    with pytest.raises(KeyError):
        measured[f"sql_query_duration_seconds_count query={query.name}"]


async def test_log_ins_are_counted_by_result(measured: ServiceWithMetrics) -> None:
    user = await measured.make.user()

    await log_in(measured.client, user.email)
    for _ in range(2):
        await log_in(measured.client, user.email, "a wrong password")

    assert [measured[f"logins_total outcome={how}"] for how in ("ok", "failed", "throttled")] == [1, 1, 1]


async def test_concurrent_log_in_is_counted_once(measured: ServiceWithMetrics) -> None:
    """Whether a guess is throttled is known only after the other has been counted."""
    user = await measured.make.user()

    await asyncio.gather(*(log_in(measured.client, user.email, "a wrong password") for _ in range(2)))

    assert [measured[f"logins_total outcome={how}"] for how in ("failed", "throttled")] == [1, 1]


async def test_reused_refresh_token_is_counted(measured: ServiceWithMetrics) -> None:
    user = await measured.make.user()
    spent = {"refresh_token": user.tokens.refresh_token}
    second = (await measured.client.post("/auth/refresh-token", json=spent)).json()["refresh_token"]
    await measured.client.post("/auth/refresh-token", json={"refresh_token": second})

    await measured.client.post("/auth/refresh-token", json=spent)

    assert measured["refresh_token_reuse_total"] == 1


async def test_metrics_with_the_token_are_served(measured: ServiceWithMetrics) -> None:
    response = await measured.client.get(
        "/metrics", headers={"Authorization": f"Bearer {TOKEN}", "Host": "10.1.2.3:8000"}
    )

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert "service_workers" in samples(response.text)


@pytest.mark.parametrize("header", ["", "Bearer", f"Bearer {TOKEN}x", TOKEN, "Bearer ł"])
async def test_metrics_without_the_token_are_404(measured: ServiceWithMetrics, header: str) -> None:
    response = await measured.client.get("/metrics", headers=[(b"Authorization", header.encode())])

    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


async def test_metrics_are_off_by_default(client: httpx.AsyncClient) -> None:
    assert (await client.get("/metrics")).status_code == 404
    assert not recorder.is_on


async def test_requests_are_counted_without_a_pool(
    database_url: str, one_transaction: OneTransaction, directory: Path
) -> None:
    app = create_app(make_settings(database_url), one_transaction, directory)

    async with service_client(app) as client:
        await client.get("/health/live")

    text = render_metrics(directory, "text/plain")[0].decode()
    recorder.stop()
    assert samples(text)["http_requests_total method=GET route=/health/live status=200"] == 1


OTHER_WORKER = """
import sys
from pathlib import Path
from service.postgres.connection_pool import CONNECTIONS
from service.telemetry import recorder

recorder.start(Path(sys.argv[1]), [], [("GET", "/users/me")])
CONNECTIONS.set(5, server="primary", state="idle")
recorder.request("GET", "/users/me", 200, 0.01)
print("counted", flush=True)
sys.stdin.read()
"""


def test_killed_worker_leaves_counters_but_no_gauges(measured: ServiceWithMetrics) -> None:
    command = [sys.executable, "-c", OTHER_WORKER, str(measured.directory)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "counted\n"
        before = measured["database_connections server=primary state=idle"]
        other.kill()

    assert (before, measured["database_connections server=primary state=idle"]) == (5, 0)
    assert measured["http_requests_total method=GET route=/users/me status=200"] == 1


def test_worker_that_is_just_starting_is_left_out(measured: ServiceWithMetrics) -> None:
    [layout] = measured.directory.glob("layout.*")
    (measured.directory / f"worker{layout.suffix}.9").touch()

    assert measured["service_workers"] == 1


def test_more_counts_per_route_use_another_file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would erase the numbers in the file of an earlier release, which is shorter."""
    recorder.start(directory, [], [])
    monkeypatch.setattr(metrics, "ROUTE_SIZE", metrics.ROUTE_SIZE + 1)

    recorder.start(directory, [], [])

    recorder.stop()
    assert len([*directory.glob("worker.*")]) == 2


def test_declared_counter_is_shown_by_its_labels(measured: ServiceWithMetrics) -> None:
    for _ in range(2):
        KITES.inc(size="small", colour="red")
    CRASHES.inc()

    assert [measured[f"kites_total colour={colour} size=small"] for colour in ("red", "blue")] == [2, 0]
    assert measured["kite_crashes_total"] == 1


def test_undeclared_label_is_refused_while_metrics_are_off() -> None:
    with pytest.raises(KeyError, match="green"):
        KITES.inc(colour="green", size="small")


def test_metric_declared_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="kites_total is declared twice"):
        counter("kites_total", "Kites again")


def test_nothing_is_counted_while_metrics_are_off(directory: Path) -> None:
    CRASHES.inc()
    WIND.set(5)
    recorder.start(directory, [], [])

    found = samples(render_metrics(directory, "text/plain")[0].decode())
    recorder.stop()

    assert (found["kite_crashes_total"], found["wind_speed"]) == (0, 0)


def test_gauge_shows_the_latest_value_of_all_workers(
    measured: ServiceWithMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", LATER_WORKER, str(measured.directory)]
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 2**31)  # the clock is set back afterwards
        WIND.set(5)
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "counted\n"
        during = measured["wind_speed"]
        other.kill()

    assert (during, measured["wind_speed"]) == (7, 5)


def test_counters_of_two_code_versions_are_merged(measured: ServiceWithMetrics) -> None:
    """The later version has one more bucket."""
    command = [sys.executable, "-c", LATER_WORKER, str(measured.directory)]
    KITES.inc(colour="red", size="small")
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        other.communicate()

    assert [measured[f"kites_total colour=red size={size}"] for size in ("small", "huge", "large")] == [2, 1, 0]


LATER_WORKER = """
import sys
from pathlib import Path
from service.telemetry import counter, gauge, recorder

kites = counter("kites_total", "Kites", colour=("red", "blue"), size=("small", "huge"))
wind = gauge("wind_speed", "The wind", is_latest=True)
recorder.start(Path(sys.argv[1]), [], [])
kites.inc(colour="red", size="small")
kites.inc(colour="red", size="huge")
wind.set(7)
print("counted", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("accept", ["text/plain; version=1.x", "application/openmetrics-text; version=a"])
def test_version_that_cannot_be_compared_gets_the_default_format(tmp_path: Path, accept: str) -> None:
    assert render_metrics(tmp_path, accept)[1] == render_metrics(tmp_path, "")[1]


def test_metrics_file_is_fully_allocated_at_startup(measured: ServiceWithMetrics) -> None:
    """Otherwise their first use kills the process if /dev/shm is full."""
    [file] = measured.directory.glob("worker.*")

    assert file.stat().st_blocks * 512 >= file.stat().st_size


FULL_DISK = """
import resource
import sys
from pathlib import Path
from service.problems import OperatorError
from service.telemetry import recorder
from service.telemetry.prometheus import make_directory

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
try:
    with make_directory() as directory:
        recorder.start(directory, [], [("GET", "/users/me")])
except OperatorError as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sys.exit(str(error))
"""


@pytest.mark.parametrize(
    ("free", "reason"), [("1000", "File too large"), ("0", "No usable temporary directory found in")]
)
def test_full_disk_prevents_start_with_a_reason(tmp_path: Path, free: str, reason: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FULL_DISK, free],
        cwd=ROOT,
        env=environment({"TMPDIR": str(tmp_path)}),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.stderr.startswith(f"The files of the metrics cannot be written: {reason}")
    assert ended.stderr.endswith("; free space in /dev/shm, or let TMPDIR name another folder\n")
