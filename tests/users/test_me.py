"""GET and DELETE /users/me."""

import asyncio

import asyncpg
import httpx
import pytest

from service.app import create_app
from service.auth.passwords import HASHER
from service.users import controllers
from tests.support.accounts import PASSWORD
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import Committed, Factory, LoggedIn, log_in, service_client
from tests.support.locks import blocked_statements


async def test_user_sees_own_account(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await client.get("/users/me", headers=user.bearer)

    assert response.status_code == 200
    assert response.json() == {"id": str(user.id), "email": user.email}


async def test_sessions_are_deleted_with_the_user(
    client: httpx.AsyncClient, user: LoggedIn, make: Factory, connection: asyncpg.Connection
) -> None:
    await make.session(user.id, user.email)
    other = await make.user()

    response = await client.delete("/users/me", headers=user.bearer)

    assert (response.status_code, response.content) == (204, b"")
    assert await connection.fetchval("select array_agg(user_id) from login_session") == [other.id]


async def test_deleted_user_cannot_log_in(client: httpx.AsyncClient, user: LoggedIn) -> None:
    await client.delete("/users/me", headers=user.bearer)

    again = await client.delete("/users/me", headers=user.bearer)
    logged_in = await log_in(client, user.email)
    refreshed = await client.post("/auth/refresh-token", json={"refresh_token": user.tokens.refresh_token})

    assert (again.status_code, logged_in.status_code, refreshed.status_code) == (401, 400, 400)


async def test_deletion_behind_reset_is_401(committed: Committed) -> None:
    """A thief whose session the reset ends cannot delete the account."""
    client, owner = committed.client, await committed.make.user()
    thief = await committed.make.session(owner.id, owner.email)
    async with committed.connection.transaction():
        await committed.connection.execute("select from user_model for update")
        resetting = asyncio.create_task(
            client.post("/users/reset-password", json={"password": "what no thief knows"}, headers=owner.bearer)
        )
        await blocked_statements(committed.connection, 1)
        deleting = asyncio.create_task(client.delete("/users/me", headers=thief.bearer))
        await blocked_statements(committed.connection, 2)

    responses = await asyncio.gather(resetting, deleting)

    assert [response.status_code for response in responses] == [200, 401]
    assert (await client.get("/users/me", headers=owner.bearer)).status_code == 200


async def delete_me(client: httpx.AsyncClient, user: LoggedIn, **body: object) -> httpx.Response:
    return await client.request("DELETE", "/users/me", json=body, headers=user.bearer)


async def test_right_current_password_deletes_the_account(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await delete_me(client, user, current_password=PASSWORD)

    assert (response.status_code, response.content) == (204, b"")
    assert (await log_in(client, user.email)).status_code == 400


@pytest.mark.parametrize("wrong", ["wrong", "", "x" * 129])
async def test_wrong_current_password_deletes_nothing(client: httpx.AsyncClient, user: LoggedIn, wrong: str) -> None:
    response = await delete_me(client, user, current_password=wrong)

    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": "/current_password", "detail": "is not the current password"}]
    assert (await log_in(client, user.email)).status_code == 200


async def test_null_instead_of_a_body_deletes_nothing(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await client.request(
        "DELETE", "/users/me", content=b"null", headers=user.bearer | {"Content-Type": "application/json"}
    )

    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": "", "detail": "is null; omit it instead"}]


async def test_deletion_can_require_the_current_password(
    database_url: str, one_transaction: OneTransaction, user: LoggedIn
) -> None:
    app = create_app(make_settings(database_url, REQUIRE_CURRENT_PASSWORD="true"), one_transaction)
    async with service_client(app) as client:
        responses = [
            await client.delete("/users/me", headers=user.bearer),
            await delete_me(client, user),
            await delete_me(client, user, current_password=PASSWORD),
        ]

    assert [response.status_code for response in responses] == [422, 422, 204]
    assert responses[0].json()["errors"] == [{"pointer": "/current_password", "detail": "is missing"}]


async def test_guesses_at_deletion_are_throttled(client: httpx.AsyncClient, user: LoggedIn) -> None:
    statuses = [(await delete_me(client, user, current_password="wrong")).status_code for _ in range(6)]

    assert statuses == [422] * 5 + [429]


async def test_deletion_is_repeated_when_a_log_in_rehashed(committed: Committed) -> None:
    client, user = committed.client, await committed.make.user()
    async with committed.connection.transaction():
        await committed.connection.execute("update user_model set hashed_password = $1", HASHER.hash(PASSWORD))
        deleting = asyncio.create_task(delete_me(client, user, current_password=PASSWORD))
        await blocked_statements(committed.connection, 1)

    assert (await deleting).status_code == 204


async def test_deletion_gives_up_if_the_hash_keeps_changing(
    committed: Committed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controllers, "ATTEMPTS", 1)
    client, user = committed.client, await committed.make.user()
    async with committed.connection.transaction():
        await committed.connection.execute("update user_model set hashed_password = $1", HASHER.hash(PASSWORD))
        deleting = asyncio.create_task(delete_me(client, user, current_password=PASSWORD))
        await blocked_statements(committed.connection, 1)

    assert (await deleting).status_code == 503
    assert (await log_in(client, user.email)).status_code == 200
