"""Gauges of the pools, password hashing, migrations and the build."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from service import __version__
from service.app import create_app
from service.auth.passwords import HASHING, Passwords
from service.postgres.connection_pool import CONNECTIONS, CONNECTIONS_WAITING, MAX_CONNECTIONS
from service.postgres.queries import Value
from service.telemetry.metrics import sample_gauges, sampling
from service.telemetry.prometheus import render_metrics
from tests.support.application import make_settings
from tests.support.metrics import ServiceWithMetrics, samples
from tests.support.statements import Statements


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
    for each in (CONNECTIONS, CONNECTIONS_WAITING, MAX_CONNECTIONS):
        for _, *labels in each.numbers:
            each.set(99, **dict(zip(each.family.labels, labels, strict=True)))

    async with app.lifespan():
        await asyncio.sleep(0)  # until it has begun
        text = render_metrics(directory, "text/plain")[0].decode()

    assert 99 not in [number for name, number in samples(text).items() if "server=replica" not in name]


async def test_startup_shows_no_waiting_request(own_database_url: str, directory: Path) -> None:
    """An alert uses this metric."""
    app = create_app(make_settings(own_database_url), metrics_directory=directory)

    async with app.lifespan():
        await asyncio.sleep(0)  # until it has begun
        text = render_metrics(directory, "text/plain")[0].decode()

    assert samples(text)["database_connections_waiting server=primary"] == 0


async def test_schema_behind_the_code_is_shown(measured: ServiceWithMetrics, own_database_url: str) -> None:
    """An alert uses this metric."""
    connection = await asyncpg.connect(own_database_url)
    await connection.execute(
        "delete from migration_checksum where migration_id = (select max(migration_id) from migration_checksum)"
    )
    await connection.close()

    assert (await measured.client.get("/health/ready")).status_code == 503
    assert measured["migrations_applied"] == measured["migrations_needed"] - 1


async def test_start_without_database_shows_no_missing_migration(directory: Path) -> None:
    """An alert compares the two; the next check of readiness sets them."""
    app = create_app(make_settings("postgresql://127.0.0.1:1/none"), metrics_directory=directory)

    async with app.lifespan():
        found = samples(render_metrics(directory, "text/plain")[0].decode())

    assert found["migrations_applied"] == found["migrations_needed"]


async def test_migration_gauges_follow_readiness(measured: ServiceWithMetrics) -> None:
    await measured.client.get("/health/ready")

    assert measured["migrations_applied"] == measured["migrations_needed"] > 4


async def test_build_info_is_shown(measured: ServiceWithMetrics) -> None:
    [build] = [name for name in samples(render_metrics(measured.directory, "")[0].decode()) if "build" in name]

    assert build.endswith(f"version={__version__}")
    assert measured["service_workers"] == 1


def test_only_build_info_exists_before_workers(directory: Path) -> None:
    text, _ = render_metrics(directory, "text/plain")

    assert [name.partition(" ")[0] for name in samples(text.decode())] == ["service_build_info"]
