"""POST /auth/logout."""

import asyncpg
import httpx
import pytest

from tests.support.factories import LoggedIn


async def log_out(client: httpx.AsyncClient, refresh_token: str) -> httpx.Response:
    return await client.post("/auth/logout", json={"refresh_token": refresh_token})


async def test_logout_ends_both_tokens(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await log_out(client, user.tokens.refresh_token)

    assert (response.status_code, response.content) == (204, b"")
    assert (await client.get("/users/me", headers=user.bearer)).status_code == 401
    refreshed = await client.post("/auth/refresh-token", json={"refresh_token": user.tokens.refresh_token})
    assert refreshed.status_code == 400


async def test_logout_leaves_other_sessions(client: httpx.AsyncClient, user: LoggedIn) -> None:
    other = (await client.post("/auth/access-token", data={"username": user.email, "password": user.password})).json()

    await log_out(client, other["refresh_token"])

    assert (await client.get("/users/me", headers=user.bearer)).status_code == 200


async def test_used_refresh_token_logs_out_too(client: httpx.AsyncClient, user: LoggedIn) -> None:
    """Its holder once held the session."""
    await client.post("/auth/refresh-token", json={"refresh_token": user.tokens.refresh_token})

    assert (await log_out(client, user.tokens.refresh_token)).status_code == 204
    assert (await client.get("/users/me", headers=user.bearer)).status_code == 401


async def test_second_logout_is_204_and_changes_nothing(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    await log_out(client, user.tokens.refresh_token)
    await connection.execute("update login_session set ended_at = '2000-01-01'")

    response = await log_out(client, user.tokens.refresh_token)

    assert response.status_code == 204
    assert await connection.fetchval("select count(*) from login_session where ended_at > '2000-01-01'") == 0


@pytest.mark.parametrize("refresh_token", ["", "unknown", "gärbage", "a" * 60_000])
async def test_unknown_token_is_204(client: httpx.AsyncClient, refresh_token: str) -> None:
    """RFC 7009, 2.2."""
    response = await log_out(client, refresh_token)

    assert (response.status_code, response.content) == (204, b"")


async def test_missing_token_is_422(client: httpx.AsyncClient) -> None:
    response = await client.post("/auth/logout", json={})

    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": "/refresh_token", "detail": "is missing"}]
