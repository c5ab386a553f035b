"""POST /auth/access-token."""

import time

import asyncpg
import httpx
import pytest

from service.app import create_app
from service.auth import passwords
from tests.support.accounts import PASSWORD
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import Factory, LoggedIn, log_in, service_client
from tests.support.jwt import Token
from tests.support.locks import lose_each_time

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def test_right_password_returns_token_pair(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await log_in(client, user.email, user.password)

    assert response.status_code == 200, response.text
    pair = response.json()
    texts = {name: pair.pop(name) for name in ("token_type", "access_token", "refresh_token")}
    assert texts["token_type"] == "Bearer"
    assert pair == {
        "issued_at": pytest.approx(time.time(), abs=5),
        "expires_at": pair["issued_at"] + 15 * 60,
        "refresh_token_issued_at": pytest.approx(time.time(), abs=5),
        "refresh_token_expires_at": pair["refresh_token_issued_at"] + 28 * 24 * 3600,
    }
    assert {type(value) for value in pair.values()} == {int}


async def test_token_pair_is_not_cached(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await log_in(client, user.email)

    assert response.headers["Cache-Control"] == "no-store"


async def test_access_token_names_user_and_session(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    pair = (await log_in(client, user.email)).json()

    token = Token(pair["access_token"], b"")
    session = await connection.fetchval("select id from login_session where id <> $1", user.session)
    assert token.header == {"alg": "HS256", "typ": "at+jwt", "kid": token.header["kid"]}
    assert token.claims == {
        "iss": "litestar-raw-sql",
        "sub": str(user.id),
        "sid": str(session),
        "iat": pair["issued_at"],
        "exp": pair["expires_at"],
    }


async def test_access_token_expires_no_later_than_its_session(
    database_url: str, one_transaction: OneTransaction, user: LoggedIn
) -> None:
    app = create_app(make_settings(database_url, REFRESH_TOKEN_EXPIRE_SECONDS="60"), one_transaction)

    async with service_client(app) as client:
        pair = (await log_in(client, user.email)).json()

    assert pair["expires_at"] == pair["refresh_token_expires_at"] < time.time() + 65


@pytest.mark.parametrize("email", ["ANN.Lee@Example.COM", "ann.lee@example.com"])
async def test_email_is_case_insensitive(client: httpx.AsyncClient, make: Factory, email: str) -> None:
    await make.user("Ann.Lee@Example.com")

    response = await log_in(client, email)

    assert response.status_code == 200, response.text


async def test_unknown_user_and_wrong_password_look_alike(client: httpx.AsyncClient, user: LoggedIn) -> None:
    wrong, unknown = await log_in(client, user.email, "wrong"), await log_in(client, "nobody@example.com", "wrong")

    assert wrong.json() | {"instance": ""} == unknown.json() | {"instance": ""}
    assert wrong.status_code == unknown.status_code == 400
    assert unknown.headers["Content-Type"] == "application/problem+json"
    assert unknown.json() == {
        "type": "/problems/invalid-grant",
        "title": "The credentials are not valid",
        "status": 400,
        "detail": "Incorrect email or password",
        "instance": unknown.json()["instance"],
        "error": "invalid_grant",
        "error_description": "Incorrect email or password",
    }


async def test_unknown_user_takes_as_long_as_wrong_password(client: httpx.AsyncClient, user: LoggedIn) -> None:
    """Roughly, in CPU time: without hashing, it would take a twentieth."""
    seconds: dict[str, list[float]] = {user.email: [], "nobody@example.com": []}
    for email in [*seconds] * 5:
        began = time.process_time()
        await log_in(client, email, "wrong")
        seconds[email].append(time.process_time() - began)

    known, unknown = map(min, seconds.values())
    assert 0.4 < unknown / known < 2.5


@pytest.mark.parametrize(
    "password",
    ["", "x" * 129, "x" * 60_000, PASSWORD + " ", PASSWORD.upper(), PASSWORD + "\0", "nobody has this password"],
)
async def test_any_other_password_is_refused(client: httpx.AsyncClient, user: LoggedIn, password: str) -> None:
    response = await log_in(client, user.email, password)

    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


async def test_other_oauth_2_fields_are_allowed(client: httpx.AsyncClient, user: LoggedIn) -> None:
    """The documentation page sends them."""
    for grant_type in ("password", ""):  # a field without a value counts as missing: RFC 6749, 3.2
        more = {"grant_type": grant_type, "scope": "", "client_id": "", "client_secret": ""}

        response = await client.post("/auth/access-token", data={"username": user.email, "password": PASSWORD} | more)

        assert response.status_code == 200, response.text


@pytest.mark.parametrize("grant_type", ["refresh_token", "client_credentials", "Password", "password "])
async def test_other_grant_type_is_unsupported(client: httpx.AsyncClient, user: LoggedIn, grant_type: str) -> None:
    """RFC 6749, 5.2: status 400 with its own error code."""
    form = {"username": user.email, "password": PASSWORD, "grant_type": grant_type}

    response = await client.post("/auth/access-token", data=form)

    assert (response.status_code, response.json()["error"]) == (400, "unsupported_grant_type")
    assert response.json()["type"] == "/problems/unsupported-grant-type"


@pytest.mark.parametrize(
    ("form", "pointer"),
    [
        (b"username=ann%40example.com", "/password"),
        (b"username=a&password=b&remember_me=1", "/remember_me"),
        (b"username=a&password=b&x%2Fy~z=1", "/x~1y~0z"),
    ],
)
async def test_invalid_form_field_is_named(client: httpx.AsyncClient, form: bytes, pointer: str) -> None:
    response = await client.post("/auth/access-token", content=form, headers=FORM)

    assert response.status_code == 422, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
    assert response.json()["error"] == "invalid_request"


async def test_log_in_that_twice_opens_no_session_is_503(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    """The same result as if the password had changed after each check: it was right, so no failure is counted."""
    await lose_each_time(connection, "insert on login_session")

    response = await log_in(client, user.email)

    assert (response.status_code, response.json()["detail"]) == (503, "The password is being changed")
    assert "RateLimit" not in response.headers


async def test_nul_in_email_is_client_error(client: httpx.AsyncClient) -> None:
    response = await log_in(client, "ann\0@example.com")

    assert response.status_code == 422, response.text


async def test_log_in_as_json_is_415(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await client.post("/auth/access-token", json={"username": user.email, "password": PASSWORD})

    assert response.status_code == 415
    assert response.headers["Accept-Post"] == "application/x-www-form-urlencoded"
    assert response.json()["error"] == "invalid_request"


async def test_too_many_log_ins_are_503_with_retry_after(
    database_url: str, one_transaction: OneTransaction, user: LoggedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "LOGIN_QUEUE", (1, 0))
    async with service_client(create_app(make_settings(database_url), one_transaction)) as client:
        response = await log_in(client, user.email)

    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert response.json() == {
        "type": "/problems/unavailable",
        "title": "Service temporarily unavailable",
        "status": 503,
        "detail": "Too many log-ins at once",
        "instance": response.json()["instance"],
    }
