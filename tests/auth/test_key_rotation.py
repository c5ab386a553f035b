"""SECRET_KEY_PREVIOUS: a new key logs no user out."""

from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from service.app import Service, create_app
from tests.support.accounts import bearer
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import Factory, service_client
from tests.support.jwt import Token

OLD, NEW = "the key that signed tokens so far", "the key that signs tokens from now"


@pytest.fixture(scope="module")
def apps(database_url: str, one_transaction: OneTransaction) -> dict[str, Service]:
    """Return the service before, during and after a key rotation."""
    keys = {
        "old": {"SECRET_KEY": OLD},
        "rotating": {"SECRET_KEY": NEW, "SECRET_KEY_PREVIOUS": OLD},
        "rotated": {"SECRET_KEY": NEW},
    }
    return {name: create_app(make_settings(database_url, **each), one_transaction) for name, each in keys.items()}


@pytest.fixture
def old(apps: dict[str, Service], connection: asyncpg.Connection) -> Factory:
    """Return a factory of users of the service before the rotation."""
    return Factory(apps["old"], connection)


@pytest.fixture
async def rotating(apps: dict[str, Service]) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the service during the rotation."""
    async with service_client(apps["rotating"]) as client:
        yield client


@pytest.fixture
async def rotated(apps: dict[str, Service]) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the service without the old key."""
    async with service_client(apps["rotated"]) as client:
        yield client


async def refresh(client: httpx.AsyncClient, refresh_token: str) -> httpx.Response:
    return await client.post("/auth/refresh-token", json={"refresh_token": refresh_token})


async def test_tokens_of_previous_key_are_valid(rotating: httpx.AsyncClient, old: Factory) -> None:
    user = await old.user()

    me = await rotating.get("/users/me", headers=user.bearer)
    refreshed = await refresh(rotating, user.tokens.refresh_token)

    assert (me.status_code, refreshed.status_code) == (200, 200)


async def test_refresh_signs_with_current_key(
    rotating: httpx.AsyncClient, rotated: httpx.AsyncClient, old: Factory
) -> None:
    """So the previous key can be removed after one lifetime of a refresh token."""
    user = await old.user()

    pair = (await refresh(rotating, user.tokens.refresh_token)).json()

    assert Token(pair["access_token"], b"").header["kid"] != Token(user.tokens.access_token, b"").header["kid"]
    assert (await rotated.get("/users/me", headers=bearer(pair["access_token"]))).status_code == 200
    assert (await refresh(rotated, pair["refresh_token"])).status_code == 200


async def test_lost_refresh_reply_is_repeated_across_rotation(rotating: httpx.AsyncClient, old: Factory) -> None:
    user = await old.user()
    lost = (await refresh(rotating, user.tokens.refresh_token)).json()

    again = (await refresh(rotating, user.tokens.refresh_token)).json()

    assert again["refresh_token"] == lost["refresh_token"]


async def test_tokens_of_removed_key_are_invalid(rotated: httpx.AsyncClient, old: Factory) -> None:
    user = await old.user()

    me = await rotated.get("/users/me", headers=user.bearer)
    refreshed = await refresh(rotated, user.tokens.refresh_token)

    assert (me.status_code, refreshed.status_code) == (401, 400)


async def test_kid_of_one_key_rejects_other_keys_signature(rotating: httpx.AsyncClient, old: Factory) -> None:
    """The kid selects the key; it does not replace the signature check."""
    user = await old.user()
    token = Token(user.tokens.access_token, OLD.encode())

    response = await rotating.get("/users/me", headers=bearer(token.replace(key=NEW.encode())))

    assert response.status_code == 401


async def test_token_without_kid_is_invalid(rotating: httpx.AsyncClient, old: Factory) -> None:
    user = await old.user()
    token = Token(user.tokens.access_token, OLD.encode())

    response = await rotating.get("/users/me", headers=bearer(token.replace({"kid": ...})))

    assert response.status_code == 401
