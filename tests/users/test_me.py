"""GET and DELETE /users/me."""

import asyncio

import asyncpg
import httpx

from tests.support.factories import Committed, Factory, LoggedIn, log_in
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
    """A thief who is being thrown out must not take the account along."""
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
