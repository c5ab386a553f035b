"""GET /auth/sessions, DELETE /auth/sessions/{id} and DELETE /auth/sessions."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from service.app import create_app
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import Committed, Factory, LoggedIn, log_in, service_client
from tests.support.locks import blocked_statements

RESET = ("POST", "/users/reset-password", {"password": "another password than before"})


async def listed(client: httpx.AsyncClient, user: LoggedIn) -> list[UUID]:
    response = await client.get("/auth/sessions", headers=user.bearer)
    return [UUID(session["id"]) for session in response.json()]


async def test_session_shows_times_agent_and_address(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    response = await client.get("/auth/sessions", headers=user.bearer)

    assert response.status_code == 200, response.text
    [session] = response.json()
    row = await connection.fetchrow("select created_at, last_used_at, expires_at from login_session")
    times = {name: datetime.fromisoformat(session.pop(name)) for name in ("created_at", "last_used_at", "expires_at")}
    assert times == dict(row or {})
    assert times["created_at"].tzinfo == UTC
    assert session == {"id": str(user.session), "user_agent": "tests", "ip": "127.0.0.1", "current": True}


async def test_current_session_is_marked(client: httpx.AsyncClient, user: LoggedIn, make: Factory) -> None:
    other = await make.session(user.id, user.email)

    sessions = (await client.get("/auth/sessions", headers=other.bearer)).json()

    assert {UUID(session["id"]): session["current"] for session in sessions} == {
        user.session: False,
        other.session: True,
    }


async def test_sessions_are_ordered_by_last_use(
    client: httpx.AsyncClient, user: LoggedIn, make: Factory, connection: asyncpg.Connection
) -> None:
    sessions = [user.session, *[(await make.session(user.id, user.email)).session for _ in range(2)]]
    for age, session in enumerate(sessions):
        age_it = "update login_session set last_used_at = now() - $2 * interval '1 hour' where id = $1"
        await connection.execute(age_it, session, (age + 1) % 3)

    assert await listed(client, user) == [sessions[2], sessions[0], sessions[1]]


async def test_ended_and_expired_sessions_are_not_listed(
    client: httpx.AsyncClient, user: LoggedIn, make: Factory, connection: asyncpg.Connection
) -> None:
    ended, expired = [(await make.session(user.id, user.email)).session for _ in range(2)]
    await connection.execute("update login_session set ended_at = now() where id = $1", ended)
    await connection.execute("update login_session set expires_at = now() where id = $1", expired)

    assert await listed(client, user) == [user.session]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(None, None), ("", ""), ("Firefox", "Firefox"), ("é" * 256, "é" * 255)],
)
async def test_user_agent_is_cut_at_255_characters(
    client: httpx.AsyncClient, user: LoggedIn, sent: str | None, kept: str | None
) -> None:
    del client.headers["User-Agent"]
    if sent is not None:
        client.headers = httpx.Headers({"User-Agent": sent}, encoding="latin-1")
    await log_in(client, user.email)

    sessions = (await client.get("/auth/sessions", headers=user.bearer)).json()

    assert [session["user_agent"] for session in sessions if not session["current"]] == [kept]


async def test_address_comes_from_trusted_proxies(
    database_url: str, one_transaction: OneTransaction, user: LoggedIn
) -> None:
    app = create_app(make_settings(database_url, TRUSTED_PROXY_HOPS="1"), one_transaction)
    async with service_client(app) as client:
        client.headers["X-Forwarded-For"] = "192.0.2.9, 2001:db8::1"
        await log_in(client, user.email)

        sessions = (await client.get("/auth/sessions", headers=user.bearer)).json()

    assert [session["ip"] for session in sessions if not session["current"]] == ["2001:db8::1"]


async def test_ended_session_is_401_at_once(client: httpx.AsyncClient, user: LoggedIn, make: Factory) -> None:
    other = await make.session(user.id, user.email)

    response = await client.delete(f"/auth/sessions/{other.session}", headers=user.bearer)

    assert (response.status_code, response.content) == (204, b"")
    assert (await client.get("/users/me", headers=other.bearer)).status_code == 401
    refreshed = await client.post("/auth/refresh-token", json={"refresh_token": other.tokens.refresh_token})
    assert refreshed.status_code == 400
    assert await listed(client, user) == [user.session]


async def test_current_session_can_be_ended(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await client.delete(f"/auth/sessions/{user.session}", headers=user.bearer)

    assert response.status_code == 204
    assert (await client.get("/users/me", headers=user.bearer)).status_code == 401


async def test_session_ends_once(client: httpx.AsyncClient, user: LoggedIn, make: Factory) -> None:
    other = await make.session(user.id, user.email)
    await client.delete(f"/auth/sessions/{other.session}", headers=user.bearer)

    response = await client.delete(f"/auth/sessions/{other.session}", headers=user.bearer)

    assert response.status_code == 404


async def test_other_users_session_is_404(client: httpx.AsyncClient, user: LoggedIn, make: Factory) -> None:
    stranger = await make.user()

    response = await client.delete(f"/auth/sessions/{stranger.session}", headers=user.bearer)

    unknown = await client.delete(f"/auth/sessions/{uuid4()}", headers=user.bearer)
    assert (response.status_code, unknown.status_code) == (404, 404)
    assert response.json() | {"instance": ""} == unknown.json() | {"instance": ""}
    assert response.json()["detail"] == "You have no session with this id"
    assert (await client.get("/users/me", headers=stranger.bearer)).status_code == 200


@pytest.mark.parametrize("session", ["1", "none", "%00", "%ff", "00000000-0000-0000-0000-00000000000g"])
async def test_malformed_session_id_is_404(client: httpx.AsyncClient, user: LoggedIn, session: str) -> None:
    response = await client.delete(f"/auth/sessions/{session}", headers=user.bearer)

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"


async def test_all_other_sessions_end_together(client: httpx.AsyncClient, user: LoggedIn, make: Factory) -> None:
    others = [await make.session(user.id, user.email) for _ in range(2)]
    stranger = await make.user()

    response = await client.delete("/auth/sessions", headers=user.bearer)

    assert (response.status_code, response.content) == (204, b"")
    for one, status in [(user, 200), (stranger, 200), (others[0], 401), (others[1], 401)]:
        assert (await client.get("/users/me", headers=one.bearer)).status_code == status
    assert await listed(client, user) == [user.session]


async def test_ended_session_cannot_end_others(client: httpx.AsyncClient, user: LoggedIn, make: Factory) -> None:
    thief = await make.session(user.id, user.email)
    await client.delete(f"/auth/sessions/{thief.session}", headers=user.bearer)

    all_others = await client.delete("/auth/sessions", headers=thief.bearer)
    one = await client.delete(f"/auth/sessions/{user.session}", headers=thief.bearer)

    assert (all_others.status_code, one.status_code) == (401, 401)
    assert (await client.get("/users/me", headers=user.bearer)).status_code == 200


MANY = """
    insert into login_session (user_id, expires_at, created_at)
    select $1, now() + interval '1 day', now() - n * interval '1 second' from generate_series(1, $2::int) as n
"""


async def test_log_in_beyond_the_limit_ends_the_oldest(
    database_url: str, one_transaction: OneTransaction, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    await connection.execute(MANY, user.id, 2)
    app = create_app(make_settings(database_url, MAX_SESSIONS="3"), one_transaction)
    async with service_client(app) as client:
        await log_in(client, user.email)

        assert len(await listed(client, user)) == 3

    ended = await connection.fetch("select created_at = min(created_at) over () as oldest, ended_at from login_session")
    assert [row["oldest"] for row in ended if row["ended_at"]] == [True]


async def test_limit_holds_for_concurrent_log_ins(committed: Committed) -> None:
    user = await committed.make.user()
    await committed.connection.execute(MANY, user.id, 99)

    answers = await asyncio.gather(*(log_in(committed.client, user.email) for _ in range(10)))

    assert {answer.status_code for answer in answers} == {200}
    assert await committed.connection.fetchval("select count(*) from live_session") == 100


async def test_list_shows_the_newest_sessions_and_the_current(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    await connection.execute(MANY, user.id, 300)
    await connection.execute(
        "update login_session set created_at = now() - interval '1 day' where id = $1", user.session
    )

    sessions = await listed(client, user)

    assert len(sessions) == 100
    assert user.session in sessions


@pytest.mark.slow
@pytest.mark.parametrize("age", ["1 minute", "1 day"], ids=["among the newest", "among the oldest"])
@pytest.mark.parametrize("request_", [("DELETE", "/auth/sessions", None), RESET], ids=["end others", "reset"])
async def test_thousands_of_other_sessions_end_at_once(
    client: httpx.AsyncClient,
    user: LoggedIn,
    make: Factory,
    connection: asyncpg.Connection,
    request_: tuple[str, str, object],
    age: str,
) -> None:
    others = [await make.session(user.id, user.email) for _ in range(2)]
    await connection.execute(MANY, user.id, 3000)
    await connection.execute(
        "update login_session set created_at = now() - interval '1 year' where id = $1", others[0].session
    )
    await connection.execute(
        "update login_session set created_at = now() - $2::text::interval where id = $1", user.session, age
    )
    method, path, body = request_

    response = await client.request(method, path, json=body, headers=user.bearer)

    assert response.is_success, response.text
    assert await listed(client, user) == [user.session]
    for other in others:
        assert (await client.get("/users/me", headers=other.bearer)).status_code == 401
        refreshed = await client.post("/auth/refresh-token", json={"refresh_token": other.tokens.refresh_token})
        assert refreshed.status_code == 400
    assert await connection.fetchval("select count(*) from login_session where ended_at is not null") <= 1000


async def test_session_after_a_cutoff_is_live_until_the_next(
    client: httpx.AsyncClient, user: LoggedIn, make: Factory, connection: asyncpg.Connection
) -> None:
    await connection.execute(MANY, user.id, 2500)
    await client.delete("/auth/sessions", headers=user.bearer)
    later = await make.session(user.id, user.email)
    await connection.execute(
        "update login_session set created_at = now() + interval '1 second' where id = $1", later.session
    )

    assert {*await listed(client, later)} == {user.session, later.session}

    await client.delete("/auth/sessions", headers=later.bearer)

    assert await listed(client, later) == [later.session]
    assert (await client.get("/users/me", headers=user.bearer)).status_code == 401


@pytest.mark.parametrize("first", [("DELETE", "/auth/sessions", None), RESET], ids=["end others", "reset"])
@pytest.mark.parametrize("second", [("DELETE", "/auth/sessions", None), RESET], ids=["end others", "reset"])
async def test_sessions_that_end_each_other_leave_one(
    committed: Committed, first: tuple[str, str, object], second: tuple[str, str, object]
) -> None:
    user = await committed.make.user()
    users = user, await committed.make.session(user.id, user.email)
    ending = []
    async with committed.connection.transaction():
        await committed.connection.execute("select from user_model for update")
        for number, (method, path, body) in enumerate((first, second)):
            request = committed.client.request(method, path, json=body, headers=users[number].bearer)
            ending.append(asyncio.create_task(request))
            await blocked_statements(committed.connection, number + 1)

    answers = await asyncio.gather(*ending)

    assert [answer.is_success for answer in answers] == [True, False]
    assert answers[1].status_code == 401
    alive = [(await committed.client.get("/users/me", headers=each.bearer)).status_code for each in users]
    assert alive == [200, 401]
