"""An unavailable database: what the log reports."""

import asyncpg
import pytest
import structlog

from service.postgres.database import Database
from service.problems import Unavailable
from tests.support.pools import Backend, Opening


async def fails(db: Database, query: Backend) -> None:
    with pytest.raises(Unavailable):
        await db.value(query)


async def test_missing_database_is_unavailable_until_created(
    opening: Opening, backend: Backend, database_url: str, admin: asyncpg.Connection
) -> None:
    """A wrong database name or password is for the operator to fix: 503, not 500."""
    name = "made_later"
    db = await opening(database_url.replace(str(await admin.fetchval("select current_database()")), name))
    with structlog.testing.capture_logs() as logged:
        await fails(db, backend)
        await admin.execute(f"create database {name}")
        try:
            await db.value(backend)
        finally:
            await admin.execute(f"drop database {name} with (force)")

    assert [entry["event"] for entry in logged] == ["database unavailable", "database available again"]
    assert name in logged[0]["reason"]
