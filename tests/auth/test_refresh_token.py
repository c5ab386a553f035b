"""POST /auth/refresh-token."""

import asyncio
import base64
import hmac
import struct
from collections.abc import Callable

import asyncpg
import httpx
import pytest

from service.app import create_app
from tests.support.accounts import bearer
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import Committed, Factory, LoggedIn
from tests.support.locks import blocked_statements
from tests.support.processes import SECRET_KEY

A_LATE_HOUR = "update login_session set last_used_at = last_used_at - interval '11 seconds' where id = $1"


FORGERIES: dict[str, Callable[[str], str]] = {
    "nothing": lambda _: "",
    "a word": lambda _: "garbage",
    "no ASCII": lambda _: "garb\u00e4ge",
    "a NUL": lambda _: "gar\0bage",
    "60 KB": lambda _: "a" * 60_000,
    "too short": lambda token: token[:-1],
    "too long": lambda token: token + "AAAA",
    "a line's end": lambda token: token + "\n",
    "a stray character": lambda token: token[:9] + "!" + token[9:],
    "of another session": lambda token: changed(token, 0),
    "of another user": lambda token: changed(token, 30),
    "of another generation": lambda token: changed(token, 45),
    "of another signature": lambda token: changed(token, 60),
}


def changed(token: str, at: int) -> str:
    """Replace the base64 character at a position."""
    return token[:at] + ("B" if token[at] == "A" else "A") + token[at + 1 :]


async def refresh(client: httpx.AsyncClient, refresh_token: str) -> httpx.Response:
    return await client.post("/auth/refresh-token", json={"refresh_token": refresh_token})


async def test_refresh_token_returns_next_pair(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await refresh(client, user.tokens.refresh_token)

    assert response.status_code == 200, response.text
    pair = response.json()
    assert set(pair) == {
        "token_type",
        "access_token",
        "expires_at",
        "issued_at",
        "refresh_token",
        "refresh_token_expires_at",
        "refresh_token_issued_at",
    }
    assert pair["refresh_token"] != user.tokens.refresh_token
    assert response.headers["Cache-Control"] == "no-store"
    assert (await client.get("/users/me", headers=bearer(pair["access_token"]))).status_code == 200


async def test_tokens_can_be_refreshed_repeatedly(client: httpx.AsyncClient, user: LoggedIn) -> None:
    token = user.tokens.refresh_token

    for _ in range(3):
        response = await refresh(client, token)
        assert response.status_code == 200, response.text
        token = response.json()["refresh_token"]


async def test_refresh_does_not_prolong_the_session(client: httpx.AsyncClient, user: LoggedIn) -> None:
    pair = (await refresh(client, user.tokens.refresh_token)).json()

    assert pair["refresh_token_expires_at"] == user.tokens.refresh_token_expires_at


async def test_lost_reply_is_repeated(client: httpx.AsyncClient, user: LoggedIn) -> None:
    lost = (await refresh(client, user.tokens.refresh_token)).json()

    again = await refresh(client, user.tokens.refresh_token)

    assert again.status_code == 200, again.text
    assert again.json()["refresh_token"] == lost["refresh_token"]
    assert (await refresh(client, lost["refresh_token"])).status_code == 200


async def test_reused_token_revokes_the_session(committed: Committed) -> None:
    """The response is an error, but the revocation is committed."""
    client, user = committed.client, await committed.make.user()
    successor = (await refresh(client, user.tokens.refresh_token)).json()
    await committed.connection.execute(A_LATE_HOUR, user.session)

    response = await refresh(client, user.tokens.refresh_token)

    assert response.status_code == 400
    assert response.json() == {
        "type": "/problems/invalid-grant",
        "title": "The credentials are not valid",
        "status": 400,
        "detail": "The refresh token was used before, or its session has ended",
        "instance": response.json()["instance"],
        "error": "invalid_grant",
        "error_description": "The refresh token was used before, or its session has ended",
    }
    assert await committed.connection.fetchval("select ended_at is not null from login_session")
    assert (await refresh(client, successor["refresh_token"])).status_code == 400
    for dead in (user.bearer, bearer(successor["access_token"])):
        assert (await client.get("/users/me", headers=dead)).status_code == 401


async def test_second_to_last_token_revokes_the_session(client: httpx.AsyncClient, user: LoggedIn) -> None:
    second = (await refresh(client, user.tokens.refresh_token)).json()
    third = (await refresh(client, second["refresh_token"])).json()

    response = await refresh(client, user.tokens.refresh_token)

    assert response.status_code == 400
    assert (await refresh(client, third["refresh_token"])).status_code == 400


async def test_refresh_behind_logout_is_refused(committed: Committed) -> None:
    """The session was alive when the refresh began to wait for its row."""
    user = await committed.make.user()
    async with committed.connection.transaction():
        await committed.connection.execute("update login_session set ended_at = now()")
        refreshing = asyncio.create_task(refresh(committed.client, user.tokens.refresh_token))
        await blocked_statements(committed.connection, 1)

    assert (await refreshing).status_code == 400
    assert await committed.connection.fetchval("select ended_at is not null from login_session")


async def test_twenty_concurrent_refreshes_get_one_successor(committed: Committed) -> None:
    user = await committed.make.user()

    responses = await asyncio.gather(*(refresh(committed.client, user.tokens.refresh_token) for _ in range(20)))

    assert [response.status_code for response in responses] == [200] * 20
    assert len({response.json()["refresh_token"] for response in responses}) == 1
    assert await committed.connection.fetchval("select generation from login_session") == 2


async def test_session_expires_on_time_despite_refreshes(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    pair = (await refresh(client, user.tokens.refresh_token)).json()
    await connection.execute("update login_session set expires_at = now() where id = $1", user.session)

    response = await refresh(client, pair["refresh_token"])

    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
async def test_forged_token_is_refused_and_ends_nothing(
    client: httpx.AsyncClient, user: LoggedIn, forge: Callable[[str], str]
) -> None:
    forged = await refresh(client, forge(user.tokens.refresh_token))

    assert (forged.status_code, forged.json()["error"]) == (400, "invalid_grant")
    assert (await refresh(client, user.tokens.refresh_token)).status_code == 200


async def test_access_token_is_not_a_refresh_token(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await refresh(client, user.tokens.access_token)

    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


async def test_token_of_another_issuer_is_refused(
    client: httpx.AsyncClient, database_url: str, connection: asyncpg.Connection, one_transaction: OneTransaction
) -> None:
    """Its session exists, but it was signed with another key."""
    settings = make_settings(database_url, SECRET_KEY="the key of a service that is not this one")
    foreigner = await Factory(create_app(settings, one_transaction), connection).user()

    response = await refresh(client, foreigner.tokens.refresh_token)

    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b"", 400, None),
        (b"refresh_token=x", 400, None),
        (b"{}", 422, "/refresh_token"),
        (b'{"refresh_token": null}', 422, "/refresh_token"),
        (b'{"refresh_token": "x", "scope": "all"}', 422, "/scope"),
        (b"[]", 422, ""),
    ],
)
async def test_malformed_body_is_invalid_request(
    client: httpx.AsyncClient, body: bytes, status: int, pointer: str | None
) -> None:
    response = await client.post("/auth/refresh-token", content=body, headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["error"]) == (status, "invalid_request")
    assert [error["pointer"] for error in response.json().get("errors", [])] == ([] if pointer is None else [pointer])


async def test_token_that_names_no_user_is_refreshed_once(client: httpx.AsyncClient, user: LoggedIn) -> None:
    """Earlier releases issued such tokens; the successor names the user."""
    pair = (await refresh(client, without_user(user))).json()

    assert (await client.get("/users/me", headers=bearer(pair["access_token"]))).status_code == 200
    assert len(pair["refresh_token"]) == len(user.tokens.refresh_token) > len(without_user(user))
    assert (await refresh(client, pair["refresh_token"])).status_code == 200
    assert (await refresh(client, without_user(user))).status_code == 400


async def test_token_without_user_and_session_is_refused(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    await connection.execute("delete from login_session")

    response = await refresh(client, without_user(user))

    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


async def test_token_that_names_no_user_logs_out(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await client.post("/auth/logout", json={"refresh_token": without_user(user)})

    assert response.status_code == 204
    assert (await client.get("/users/me", headers=user.bearer)).status_code == 401


def without_user(user: LoggedIn) -> str:
    """Return a user's first refresh token as issued by earlier releases, without the user."""
    signed = struct.pack(">16sI", user.session.bytes, 1)
    key = hmac.digest(SECRET_KEY.encode(), b"refresh token", "sha256")
    return base64.urlsafe_b64encode(signed + hmac.digest(key, signed, "sha256")).rstrip(b"=").decode()
