"""Every authenticated request is one round trip to PostgreSQL, counted on the wire."""

from collections.abc import AsyncIterator, Mapping

import asyncpg
import attrs
import httpx
import pytest

from service.app import create_app
from service.embedded import EmbeddedPostgres
from service.postgres.pool import Pool
from tests.support import api
from tests.support.accounts import PASSWORD
from tests.support.application import make_settings
from tests.support.factories import Factory, service_client
from tests.support.relay import Relay
from tests.support.routes import explained, guarded, routes, taking, valid_request


@attrs.frozen
class Counted:
    """The service behind a relay, on one connection."""

    client: httpx.AsyncClient
    make: Factory
    relay: Relay

    async def trips(
        self, route: str, body: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None
    ) -> int:
        """Send the request as two new users, and count for the second: the first request prepares the statements."""
        before = 0
        for _ in range(2):
            user = await self.make.user()
            ids = {"session_id": user.session, **await self.make.rows(api.route(route).rows, user)}
            request = valid_request(route, user.bearer | dict(headers or {}), **ids)
            before = self.relay.trips
            response = await self.client.request(**request | ({"json": body} if body else {}))
            # An id that belongs to no object takes as many round trips.
            is_missing = "{" in route and response.status_code == 404
            assert response.is_success or is_missing, explained(route, response)
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


@pytest.mark.parametrize("route", sorted(guarded()))
async def test_authenticated_request_takes_one_round_trip(counted: Counted, route: str) -> None:
    trips = await counted.trips(route)

    expected = api.route(route).trips
    assert trips == expected, "if the route needs a transaction, write its `trips` to ROUTES in tests/support/api.py"


async def test_current_password_takes_three_more_round_trips(counted: Counted) -> None:
    """Two fetch the address and its hash, the third checks the limit after the password was verified."""
    body = {"password": "another password", "current_password": PASSWORD}

    assert await counted.trips("POST /users/reset-password", body) == 7


async def test_idempotency_key_takes_no_extra_round_trip(counted: Counted) -> None:
    for route in {*taking("Idempotency-Key")}.intersection(guarded()):
        trips = await counted.trips(route, headers={"Idempotency-Key": "key"})

        assert (route, trips) == (route, api.route(route).trips)


def test_routes_known_to_the_tests_exist() -> None:
    assert api.ROUTES.keys() - routes().keys() == set(), "remove these from ROUTES in tests/support/api.py"


async def test_refused_token_takes_no_round_trip(counted: Counted) -> None:
    before = counted.relay.trips

    response = await counted.client.get("/users/me", headers={"Authorization": "Bearer x"})

    assert response.status_code == 401
    assert counted.relay.trips == before
