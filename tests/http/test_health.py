"""GET /health/live and GET /health/ready."""

import asyncio
import re

import asyncpg
import httpx
import pytest
from structlog.testing import capture_logs

from service.app import Service, create_app
from service.http.system.health import Readiness
from service.migrate.files import MIGRATIONS, expected_checksums
from service.postgres.database import Database
from service.postgres.pool import Pool
from service.problems import Unavailable
from tests.support.application import make_settings
from tests.support.backends import wait_until_running
from tests.support.factories import service_client
from tests.support.pools import Backend

FIRST, *_, LAST = expected_checksums(MIGRATIONS)


def assert_unavailable(response: httpx.Response, detail: str) -> None:
    """Check that the response is a 503 with the reason and Retry-After."""
    assert (response.status_code, response.headers["Content-Type"]) == (503, "application/problem+json")
    assert response.json()["type"] == "/problems/unavailable"
    assert response.json()["detail"] == detail
    assert response.headers["Retry-After"] == "1"


async def test_migrated_database_is_ready(client: httpx.AsyncClient) -> None:
    response = await client.get("/health/ready")

    assert (response.status_code, response.json()) == (200, {"status": "ready"})


async def test_schema_behind_the_code_is_not_ready(client: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    await connection.execute("delete from migration_checksum where migration_id = $1", LAST)

    response = await client.get("/health/ready")

    assert_unavailable(response, f"The schema is behind: {LAST} is not applied; run python -m service migrate")


async def test_edited_migration_is_not_ready(client: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    await connection.execute("update migration_checksum set sha256 = repeat('0', 64) where migration_id = $1", LAST)

    response = await client.get("/health/ready")

    assert_unavailable(response, f"The schema does not match: {LAST} has changed since it was applied")


async def test_schema_ahead_of_the_code_is_ready(client: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    """Old and new code both run during a deployment."""
    await connection.execute("insert into migration_checksum select 'later', sha256 from migration_checksum limit 1")

    assert (await client.get("/health/ready")).status_code == 200


async def test_empty_database_is_not_ready(empty_database_url: str) -> None:
    app = create_app(make_settings(empty_database_url))

    async with app.lifespan(), service_client(app) as client:
        response = await client.get("/health/ready")

    assert_unavailable(response, f"The schema is behind: {FIRST} is not applied; run python -m service migrate")


async def test_role_without_privileges_is_not_ready(own_database_url: str) -> None:
    app = create_app(make_settings(f"{own_database_url}&role=pg_signal_backend"))

    async with app.lifespan(), service_client(app) as client:
        response = await client.get("/health/ready")

    denied = "permission denied for table migration_checksum"
    assert_unavailable(response, f"PostgreSQL says: {denied}; grant it to the role of DATABASE_URL")


async def test_service_without_database_is_live_but_not_ready() -> None:
    app = create_app(make_settings("postgresql://127.0.0.1:1/kites"))

    async with app.lifespan(), service_client(app) as client:
        live = await client.get("/health/live")
        ready = await client.get("/health/ready")

    assert (live.status_code, live.json()) == (200, {"status": "live"})
    assert_unavailable(ready, "The database does not answer")


async def test_draining_process_is_not_ready(
    client: httpx.AsyncClient, app: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "is_draining", True)

    response = await client.get("/health/ready")

    assert_unavailable(response, "draining: this process is shutting down")


async def test_readiness_has_a_connection_of_its_own(own_database_url: str, sleep: Backend) -> None:
    """Under load, a locked table can occupy all others."""
    app = create_app(make_settings(own_database_url, DATABASE_POOL_SIZE="1", DATABASE_STATEMENT_TIMEOUT="0"))
    admin = await asyncpg.connect(own_database_url)

    async with app.lifespan(), service_client(app) as client:
        sleeping = asyncio.create_task(app.db.value(sleep, 60))
        await wait_until_running(admin)

        assert (await client.get("/health/ready")).status_code == 200

        sleeping.cancel()
    await admin.close()


async def test_successful_readiness_is_cached(own_database_url: str) -> None:
    app = create_app(make_settings(own_database_url))
    admin = await asyncpg.connect(own_database_url)

    async with app.lifespan(), service_client(app) as client:
        before = await client.get("/health/ready")
        await admin.execute("delete from migration_checksum")

        assert [before.status_code, (await client.get("/health/ready")).status_code] == [200, 200]
    await admin.close()


async def test_failed_readiness_is_not_cached(own_database_url: str) -> None:
    pool = Pool(own_database_url)
    readiness = Readiness(Database(pool), {"0000_missing": ""}, cache_seconds=60)

    async with pool.open():
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"^The schema is behind"):
                await readiness.check()


async def test_schema_behind_the_code_is_logged_once(own_database_url: str) -> None:
    """Load balancers discard the response."""
    pool = Pool(own_database_url)
    readiness = Readiness(Database(pool), {"0000_missing": ""}, cache_seconds=60)

    with capture_logs() as entries:
        async with pool.open():
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await readiness.check()

    [entry] = [entry for entry in entries if entry["event"] == "not ready"]
    assert entry["reason"].startswith("The schema is behind: 0000_missing is not applied")


async def test_internal_error_under_a_malformed_host_is_a_problem(own_database_url: str) -> None:
    """Health checks accept any host, also one that is part of no URL."""
    app = create_app(make_settings(own_database_url))
    admin = await asyncpg.connect(own_database_url)
    await admin.execute("alter table migration_checksum rename to renamed")
    await admin.execute("create view migration_checksum as select '' as migration_id, 1 / 0 as sha256")
    await admin.close()

    async with app.lifespan(), service_client(app) as client:
        response = await client.get("/health/ready", headers={"Host": "localhost:65536"})

    assert (response.status_code, response.headers["Content-Type"]) == (500, "application/problem+json")


async def test_database_of_another_encoding_is_not_ready(own_database_url: str) -> None:
    admin = await asyncpg.connect(own_database_url)
    name = f"latin1_{await admin.fetchval('select current_database()')}"
    await admin.execute(f"create database {name} encoding 'LATIN1' locale 'C' template template0")
    app = create_app(make_settings(re.sub(r"/[^/?]*\?", f"/{name}?", own_database_url)))

    async with app.lifespan(), service_client(app) as client:
        response = await client.get("/health/ready")

    await admin.execute(f"drop database {name} with (force)")
    await admin.close()
    assert_unavailable(response, "The encoding of the database is LATIN1: the service needs UTF8")
