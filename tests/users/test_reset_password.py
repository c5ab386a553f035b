"""POST /users/reset-password."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from service.app import Service, create_app
from service.auth.passwords import HASHER
from tests.support.accounts import PASSWORD
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import Committed, Factory, LoggedIn, log_in, service_client
from tests.support.locks import blocked_statements, lose_each_time

NEW = "another password than before"


async def reset(client: httpx.AsyncClient, user: LoggedIn, **body: object) -> httpx.Response:
    return await client.post("/users/reset-password", json={"password": NEW} | body, headers=user.bearer)


@pytest.fixture(scope="module")
def strict_app(database_url: str, one_transaction: OneTransaction) -> Service:
    """Return the service with REQUIRE_CURRENT_PASSWORD."""
    return create_app(make_settings(database_url, REQUIRE_CURRENT_PASSWORD="true"), one_transaction)


@pytest.fixture
async def strict(strict_app: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of that service."""
    async with service_client(strict_app) as client:
        yield client


async def test_reset_replaces_the_password(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await reset(client, user)

    assert response.status_code == 200, response.text
    assert response.json() == {"id": str(user.id), "email": user.email}
    assert (await log_in(client, user.email, NEW)).status_code == 200
    assert (await log_in(client, user.email, user.password)).status_code == 400


async def test_reset_ends_every_other_session(client: httpx.AsyncClient, user: LoggedIn, make: Factory) -> None:
    other, stranger = await make.session(user.id, user.email), await make.user()

    await reset(client, user)

    assert (await client.get("/users/me", headers=other.bearer)).status_code == 401
    refreshed = await client.post("/auth/refresh-token", json={"refresh_token": other.tokens.refresh_token})
    assert refreshed.status_code == 400
    for alive in (user, stranger):
        assert (await client.get("/users/me", headers=alive.bearer)).status_code == 200
        refreshed = await client.post("/auth/refresh-token", json={"refresh_token": alive.tokens.refresh_token})
        assert refreshed.status_code == 200


async def test_reset_keeps_earlier_end_times(
    client: httpx.AsyncClient, user: LoggedIn, make: Factory, connection: asyncpg.Connection
) -> None:
    ended = await make.session(user.id, user.email)
    await connection.execute("update login_session set ended_at = '2000-01-01' where id = $1", ended.session)

    await reset(client, user)

    assert await connection.fetchval("select count(*) from login_session where ended_at > '2000-01-01'") == 0


@pytest.mark.parametrize("password", ["1234567", "x" * 129])
async def test_new_password_is_validated(client: httpx.AsyncClient, user: LoggedIn, password: str) -> None:
    response = await reset(client, user, password=password)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/password"]
    assert (await log_in(client, user.email)).status_code == 200


async def test_unknown_fields_are_refused(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await reset(client, user, email="mine@example.com")

    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": "/email", "detail": "is not a known field"}]


async def test_right_current_password_is_accepted(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await reset(client, user, current_password=PASSWORD)

    assert response.status_code == 200
    assert (await log_in(client, user.email, NEW)).status_code == 200


@pytest.mark.parametrize("wrong", ["wrong", "", "x" * 129, NEW])
async def test_wrong_current_password_is_refused(client: httpx.AsyncClient, user: LoggedIn, wrong: str) -> None:
    response = await reset(client, user, current_password=wrong)

    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": "/current_password", "detail": "is not the current password"}]
    assert (await log_in(client, user.email)).status_code == 200


@pytest.mark.parametrize("body", [{}, {"current_password": None}])
async def test_current_password_can_be_required(
    strict: httpx.AsyncClient, user: LoggedIn, body: dict[str, object]
) -> None:
    response = await reset(strict, user, **body)

    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": "/current_password", "detail": "is missing"}]
    assert (await log_in(strict, user.email)).status_code == 200


async def test_required_current_password_is_accepted(strict: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await reset(strict, user, current_password=PASSWORD)

    assert response.status_code == 200


async def test_ended_session_cannot_test_the_current_password(client: httpx.AsyncClient, user: LoggedIn) -> None:
    await client.delete(f"/auth/sessions/{user.session}", headers=user.bearer)

    responses = [await reset(client, user, current_password=password) for password in (PASSWORD, "wrong")]

    assert [response.status_code for response in responses] == [401, 401]


@pytest.mark.parametrize("body", [{}, {"current_password": PASSWORD}], ids=["without", "with the current one"])
async def test_first_of_two_resets_ends_the_others_session(committed: Committed, body: dict[str, object]) -> None:
    """A thief whose session the owner ends cannot lock the owner out."""
    client, owner = committed.client, await committed.make.user()
    thief = await committed.make.session(owner.id, owner.email)
    async with committed.connection.transaction():
        await committed.connection.execute("select from user_model for update")
        first = asyncio.create_task(reset(client, owner))
        await blocked_statements(committed.connection, 1)
        second = asyncio.create_task(reset(client, thief, password="the password of a thief", **body))
        await blocked_statements(committed.connection, 2)

    responses = await asyncio.gather(first, second)

    assert [response.status_code for response in responses] == [200, 401]
    assert (await log_in(client, owner.email, NEW)).status_code == 200
    assert (await client.get("/users/me", headers=owner.bearer)).status_code == 200


async def test_current_password_is_checked_again_at_the_update(committed: Committed) -> None:
    """Another session of the user changed the password after the check."""
    client, user = committed.client, await committed.make.user()
    async with committed.connection.transaction():
        await committed.connection.execute("update user_model set hashed_password = 'another one'")
        resetting = asyncio.create_task(reset(client, user, current_password=PASSWORD))
        await blocked_statements(committed.connection, 1)

    response = await resetting

    assert response.status_code == 422
    assert await committed.connection.fetchval("select hashed_password from user_model") == "another one"


async def test_reset_gives_up_if_the_hash_keeps_changing(
    client: httpx.AsyncClient, user: LoggedIn, make: Factory, connection: asyncpg.Connection
) -> None:
    """The same result as if the hash had changed after each check; all sessions go on."""
    other = await make.session(user.id, user.email)
    await lose_each_time(connection, "update on user_model")

    response = await reset(client, user, current_password=PASSWORD)

    assert (response.status_code, response.json()["detail"]) == (503, "The password is being changed")
    assert (await client.get("/users/me", headers=other.bearer)).status_code == 200


async def test_reset_is_repeated_when_a_log_in_rehashed(committed: Committed) -> None:
    """The current password is unchanged; only its hash differs."""
    client, user = committed.client, await committed.make.user()
    async with committed.connection.transaction():
        await committed.connection.execute("update user_model set hashed_password = $1", HASHER.hash(PASSWORD))
        resetting = asyncio.create_task(reset(client, user, current_password=PASSWORD))
        await blocked_statements(committed.connection, 1)

    response = await resetting

    assert response.status_code == 200, response.text
    assert (await log_in(client, user.email, NEW)).status_code == 200
