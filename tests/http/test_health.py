"""GET /health/live and GET /health/ready."""

import asyncpg
import httpx
import pytest

from service.app import Service, create_app
from service.migrate.files import MIGRATIONS, expected_checksums
from tests.support.application import make_settings
from tests.support.factories import service_client

FIRST, *_, LAST = expected_checksums(MIGRATIONS)


def assert_unavailable(response: httpx.Response, detail: str) -> None:
    """Check that the service says why it is not ready, and when to ask again."""
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

    assert_unavailable(response, f"The schema is another one: {LAST} was applied from another file")


async def test_schema_ahead_of_the_code_is_ready(client: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    """New and old code live together while one replaces the other."""
    await connection.execute("insert into migration_checksum select 'later', sha256 from migration_checksum limit 1")

    assert (await client.get("/health/ready")).status_code == 200


async def test_empty_database_is_not_ready(empty_database_url: str) -> None:
    app = create_app(make_settings(empty_database_url))

    async with app.lifespan(), service_client(app) as client:
        response = await client.get("/health/ready")

    assert_unavailable(response, f"The schema is behind: {FIRST} is not applied; run python -m service migrate")


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
    monkeypatch.setattr(app, "draining", True)

    response = await client.get("/health/ready")

    assert_unavailable(response, "draining: this process is about to end")
