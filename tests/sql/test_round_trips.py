"""Every authenticated request is one round trip to PostgreSQL, counted on the wire."""

import re
from collections.abc import AsyncIterator

import asyncpg
import attrs
import httpx
import pytest

from service.app import create_app
from service.embedded import EmbeddedPostgres
from service.postgres.pool import Pool
from tests.support.accounts import PASSWORD
from tests.support.application import make_settings
from tests.support.factories import Factory, service_client
from tests.support.relay import Relay
from tests.support.routes import GUARDED, Body, taking


@attrs.frozen
class Counted:
    """The service behind a relay, on one connection."""

    client: httpx.AsyncClient
    make: Factory
    relay: Relay

    async def trips(self, route: str, body: Body, **headers: str) -> int:
        """Send the request as two new users, and count for the second: the first request prepares the statements."""
        before = 0
        for _ in range(2):
            user = await self.make.user()
            method, path = route.split()
            url = path.replace("{session_id}", str(user.session))
            # Any other id belongs to no object, which takes as many round trips.
            missing = "{" in url
            before = self.relay.trips
            response = await self.client.request(
                method, re.sub(r"\{\w+\}", "1", url), json=body, headers=user.bearer | headers
            )
            assert response.is_success or (missing and response.status_code == 404), response.text
        return self.relay.trips - before


@pytest.fixture
async def counted(server: EmbeddedPostgres, own_database_url: str) -> AsyncIterator[Counted]:
    relay = Relay(server)
    connection = await asyncpg.connect(own_database_url)
    async with relay.listen() as port:
        database = await connection.fetchval("select current_database()")
        pool = Pool(f"postgresql://{server.user}@127.0.0.1:{port}/{database}?sslmode=disable")
        app = create_app(make_settings(own_database_url), pool)
        async with pool.open(), service_client(app) as client:
            yield Counted(client, Factory(app, connection), relay)
    await connection.close()


async def test_authenticated_request_takes_one_round_trip(counted: Counted) -> None:
    """A transaction takes two more than it has statements."""
    trips = {route: await counted.trips(route, body) for route, body in GUARDED.items()}

    assert trips == dict.fromkeys(GUARDED, 1) | {"post /users/reset-password": 4, "delete /users/me": 5}


async def test_current_password_takes_two_more_round_trips(counted: Counted) -> None:
    """Two statements fetch the address and its hash; no connection is held while the password is checked."""
    body: Body = {"password": "another password", "current_password": PASSWORD}

    assert await counted.trips("post /users/reset-password", body) == 6


@pytest.mark.parametrize("route", taking("Idempotency-Key"))
async def test_idempotency_key_takes_no_extra_round_trip(counted: Counted, route: str) -> None:
    trips = await counted.trips(route, GUARDED[route], **{"Idempotency-Key": "key"})

    assert trips == 1


async def test_refused_token_takes_no_round_trip(counted: Counted) -> None:
    before = counted.relay.trips

    response = await counted.client.get("/users/me", headers={"Authorization": "Bearer x"})

    assert response.status_code == 401
    assert counted.relay.trips == before
