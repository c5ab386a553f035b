"""Metrics recorded by one process and by several."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import attrs
import httpx
import pytest

from service import __version__
from service.app import Service, create_app
from service.auth.passwords import HASHING, Passwords
from service.postgres.connection_pool import CONNECTIONS, MAX, WAITING
from service.postgres.pool import Pool
from service.postgres.queries import Value
from service.telemetry.metrics import counter, gauge, recorder, sample_gauges, sampling
from service.telemetry.prometheus import as_text, make_directory
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import Factory, log_in, service_client
from tests.support.metrics import TOKEN, samples
from tests.support.processes import ROOT
from tests.support.statements import Statements

KITES = counter("kites_total", "Kites", colour=("red", "blue"), size=("small", "large"))
CRASHES = counter("kite_crashes_total", "Kites that fell")
WIND = gauge("wind_speed", "The wind, as the last worker that looked has seen it", is_latest=True)


@attrs.frozen
class ServiceWithMetrics:
    """The service with metrics, on its own database."""

    app: Service
    client: httpx.AsyncClient
    make: Factory
    directory: Path

    def __getitem__(self, name: str) -> float:
        """Return the value of a sample."""
        return samples(as_text(self.directory, "text/plain")[0].decode())[name]


@pytest.fixture
def directory() -> Iterator[Path]:
    with make_directory() as directory:
        yield directory


@pytest.fixture
async def measured(own_database_url: str, directory: Path) -> AsyncIterator[ServiceWithMetrics]:
    pool = Pool(own_database_url, size=2)
    app = create_app(make_settings(own_database_url, METRICS_TOKEN=TOKEN, LOGIN_THROTTLE="1,9,9,900"), pool, directory)
    connection = await asyncpg.connect(own_database_url)
    async with pool.open(), service_client(app) as client:
        yield ServiceWithMetrics(app, client, Factory(app, connection), directory)
    recorder.stop()
    await connection.close()


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

    assert await measured.app.db.value(query) == 1


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


async def test_pool_gauges_show_its_connections(measured: ServiceWithMetrics) -> None:
    await measured.client.get("/health/ready")

    async with sampling():
        await asyncio.sleep(0)  # until it has begun

    assert measured["database_connections server=primary state=used"] == 0
    assert measured["database_connections server=primary state=idle"] == 1
    assert measured["database_connections_max server=primary"] == 2
    assert measured["database_connections_waiting server=primary"] == 0
    assert measured["database_connections_created_total"] == 1
    assert measured["password_hashing_queue"] == 0


@pytest.mark.usefixtures("measured")
async def test_sampling_ends_with_its_context() -> None:
    before = asyncio.all_tasks()

    with pytest.raises(LookupError):
        async with sampling():
            raise LookupError

    await asyncio.sleep(0)  # until it has ended
    assert asyncio.all_tasks() == before


async def test_pool_gauges_show_use_and_waiters(measured: ServiceWithMetrics, statement: Statements) -> None:
    sleep: Value[..., str] = Value(statement("value text", "select pg_sleep($1)::text", "seconds float8"), str)
    await asyncio.gather(*(measured.app.db.value(sleep, 0.2) for _ in range(2)))
    asking = [asyncio.create_task(measured.app.db.value(sleep, 0.05)) for _ in range(3)]
    await asyncio.sleep(0)  # until each has asked

    sample_gauges()
    await asyncio.gather(*asking)  # before the samples are read: a request waits for a second at most

    assert measured["database_connections server=primary state=used"] == 2
    assert measured["database_connections server=primary state=idle"] == 0
    assert measured["database_connections_waiting server=primary"] == 1


async def test_password_hashing_gauges_show_running_and_waiting(measured: ServiceWithMetrics) -> None:
    passwords = Passwords()
    hashing = [asyncio.create_task(passwords.hash("a password for one test")) for _ in range(3)]
    await asyncio.sleep(0)  # until each has asked

    sample_gauges()
    during = measured["password_hashing_queue"]
    await asyncio.gather(*hashing)
    sample_gauges()

    assert (during, measured["password_hashing_queue"]) == (3, 0)
    passwords.close()


async def test_all_parts_are_measured_from_startup(own_database_url: str, directory: Path) -> None:
    app = create_app(make_settings(own_database_url), metrics_directory=directory)
    HASHING.set(99)
    for each in (CONNECTIONS, WAITING, MAX):
        for _, *labels in each.numbers:
            each.set(99, **dict(zip(each.family.labels, labels, strict=True)))

    async with app.lifespan():
        await asyncio.sleep(0)  # until it has begun
        text = as_text(directory, "text/plain")[0].decode()

    assert 99 not in [number for name, number in samples(text).items() if "server=replica" not in name]


async def test_schema_behind_the_code_is_shown(measured: ServiceWithMetrics, own_database_url: str) -> None:
    """An alert uses this metric."""
    connection = await asyncpg.connect(own_database_url)
    await connection.execute(
        "delete from migration_checksum where migration_id = (select max(migration_id) from migration_checksum)"
    )
    await connection.close()

    assert (await measured.client.get("/health/ready")).status_code == 503
    assert measured["migrations_applied"] == measured["migrations_needed"] - 1


async def test_applied_migrations_are_0_without_a_database(directory: Path) -> None:
    app = create_app(make_settings("postgresql://127.0.0.1:1/none"), metrics_directory=directory)

    async with app.lifespan():
        found = samples(as_text(directory, "text/plain")[0].decode())

    assert (found["migrations_applied"], found["migrations_needed"] > 4) == (0, True)


async def test_migration_gauges_follow_readiness(measured: ServiceWithMetrics) -> None:
    await measured.client.get("/health/ready")

    assert measured["migrations_applied"] == measured["migrations_needed"] > 4


async def test_build_info_is_shown(measured: ServiceWithMetrics) -> None:
    [build] = [name for name in samples(as_text(measured.directory, "")[0].decode()) if "build" in name]

    assert build.endswith(f"version={__version__}")
    assert measured["service_workers"] == 1


def test_only_build_info_exists_before_workers(directory: Path) -> None:
    text, _ = as_text(directory, "text/plain")

    assert [name.partition(" ")[0] for name in samples(text.decode())] == ["service_build_info"]


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

    text = as_text(directory, "text/plain")[0].decode()
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


def test_declared_counter_is_shown_by_its_labels(measured: ServiceWithMetrics) -> None:
    for _ in range(2):
        KITES.inc(size="small", colour="red")
    CRASHES.inc()

    assert [measured[f"kites_total colour={colour} size=small"] for colour in ("red", "blue")] == [2, 0]
    assert measured["kite_crashes_total"] == 1


def test_undeclared_label_is_refused(measured: ServiceWithMetrics) -> None:  # noqa: ARG001 - metrics are on
    with pytest.raises(KeyError, match="green"):
        KITES.inc(colour="green", size="small")


def test_metric_declared_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="kites_total is declared twice"):
        counter("kites_total", "Kites again")


def test_nothing_is_counted_while_metrics_are_off(directory: Path) -> None:
    CRASHES.inc()
    WIND.set(5)
    recorder.start(directory, [], [])

    found = samples(as_text(directory, "text/plain")[0].decode())
    recorder.stop()

    assert (found["kite_crashes_total"], found["wind_speed"]) == (0, 0)


def test_gauge_shows_the_latest_value_of_all_workers(measured: ServiceWithMetrics) -> None:
    command = [sys.executable, "-c", LATER_WORKER, str(measured.directory)]
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
