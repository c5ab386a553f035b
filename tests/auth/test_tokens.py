"""Only unexpired access tokens signed by this service are accepted."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from service.auth import tokens as module
from service.auth.models import Session
from service.auth.tokens import Tokens
from tests.support.application import make_settings
from tests.support.factories import LoggedIn
from tests.support.forgeries import FORGERIES
from tests.support.jwt import Token


@pytest.fixture
def token(user: LoggedIn, database_url: str) -> Token:
    """Return a genuine access token."""
    return Token(user.tokens.access_token, make_settings(database_url).secret_key)


async def whoami(client: httpx.AsyncClient, access_token: str) -> httpx.Response:
    return await client.get("/users/me", headers={b"Authorization": b"Bearer " + access_token.encode()})


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
async def test_forged_token_is_refused(client: httpx.AsyncClient, token: Token, forge: Callable[[Token], str]) -> None:
    """The second time too: only verified tokens are cached."""
    responses = [await whoami(client, forge(token)) for _ in range(2)]

    for response in responses:
        assert response.status_code == 401, response.text
        assert response.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token", error_description="')


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param({}, id="the same"),
        pytest.param({"exp": -30}, id="expired by a clock that is ahead"),
        pytest.param({"iat": 30, "nbf": 30}, id="issued by a clock that is ahead"),
    ],
)
async def test_clocks_may_differ_by_a_minute(client: httpx.AsyncClient, token: Token, seconds: dict[str, Any]) -> None:
    """It also shows that the forgeries above fail because of their content, not because of how they are made."""
    response = await whoami(client, token.replace(**{name: time.time() + later for name, later in seconds.items()}))

    assert response.status_code == 200, response.text


async def test_refresh_token_is_not_an_access_token(client: httpx.AsyncClient, user: LoggedIn) -> None:
    assert (await whoami(client, user.tokens.refresh_token)).status_code == 401


async def test_cached_token_still_expires(
    client: httpx.AsyncClient, user: LoggedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = []
    for seconds in (0, 59, 61):
        monkeypatch.setattr(time, "time", lambda seconds=seconds: user.tokens.expires_at + seconds)
        statuses.append((await whoami(client, user.tokens.access_token)).status_code)

    assert statuses == [200, 200, 401]


@pytest.fixture
def tokens(database_url: str) -> Tokens:
    return Tokens(make_settings(database_url))


def authorization(tokens: Tokens) -> bytes:
    """Return the header with a new access token."""
    now = datetime.now(UTC)
    session = Session(uuid4(), uuid4(), generation=1, last_used_at=now, expires_at=now + timedelta(days=1))
    return f"Bearer {tokens.issue(session).access_token}".encode()


def test_token_cache_is_bounded(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CACHED_TOKENS", 1)
    first, second = authorization(tokens), authorization(tokens)

    caller = tokens.authenticate(first)
    assert caller is tokens.authenticate(first)
    tokens.authenticate(second)

    assert caller is not tokens.authenticate(first)


def test_access_token_expires_with_its_session(tokens: Tokens) -> None:
    now = datetime.now(UTC)
    session = Session(uuid4(), uuid4(), generation=1, last_used_at=now, expires_at=now + timedelta(seconds=9))

    assert tokens.issue(session).expires_at == int(session.expires_at.timestamp())


def test_header_with_spaces_is_not_cached(tokens: Tokens) -> None:
    """It can have any length."""
    padded = authorization(tokens).replace(b" ", b"  ")

    first, second = tokens.authenticate(padded), tokens.authenticate(padded)

    assert first == second
    assert first is not second
