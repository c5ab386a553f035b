"""Statements that PostgreSQL refuses until an operator acts: 503, and the log says why."""

from collections.abc import Iterator

import httpx
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.app import create_app
from tests.support.application import make_settings
from tests.support.factories import service_client

Logs = list[EventDict]
ADA = {"email": "ada@example.com", "password": "some long password"}


@pytest.fixture
def logs() -> Iterator[Logs]:
    """Return the captured log entries."""
    with capture_logs() as entries:
        yield entries


async def register_twice(url: str) -> list[httpx.Response]:
    """Return the responses of a service on the database at `url` to two registrations."""
    app = create_app(make_settings(url))
    async with app.lifespan(), service_client(app) as client:
        return [await client.post("/users/register", json=ADA) for _ in range(2)]


async def test_reason_of_refused_writes_is_logged_once(own_database_url: str, logs: Logs) -> None:
    responses = await register_twice(f"{own_database_url}&default_transaction_read_only=on")

    reason = "cannot execute INSERT in a read-only transaction; query auth.count_registration"
    assert [each.status_code for each in responses] == [503, 503]
    assert [entry for entry in logs if entry["event"] != "request"] == [
        {"log_level": "error", "event": "statement refused", "reason": reason}
    ]


async def test_each_application_logs_its_refusals(empty_database_url: str, logs: Logs) -> None:
    for _ in range(2):
        await register_twice(empty_database_url)

    assert [entry["event"] for entry in logs].count("statement refused") == 2


async def test_database_without_the_schema_is_unavailable(empty_database_url: str, logs: Logs) -> None:
    responses = await register_twice(empty_database_url)

    assert [(each.status_code, each.json()["type"]) for each in responses] == [(503, "/problems/unavailable")] * 2
    assert [entry["event"] for entry in logs] == ["statement refused", "request", "request"]
