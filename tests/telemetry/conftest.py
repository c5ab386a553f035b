"""The service with metrics."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from service.app import create_app
from service.postgres.pool import Pool
from service.telemetry.metrics import recorder
from service.telemetry.prometheus import make_directory
from tests.support.application import make_settings
from tests.support.factories import Factory, service_client
from tests.support.metrics import TOKEN, ServiceWithMetrics


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
