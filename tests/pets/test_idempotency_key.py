"""POST /pets/create with ``Idempotency-Key``."""

import asyncio
from datetime import timedelta

import asyncpg
import httpx
import pytest

from service.pets.controllers import CREATE_PET_ONCE
from service.purges import run_purges
from tests.support.factories import Committed, Factory, LoggedIn
from tests.support.locks import blocked_statements

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


async def create(
    client: httpx.AsyncClient, user: LoggedIn, pet_name: str = "Tadeusz", key: str | bytes = KEY
) -> httpx.Response:
    sent = key.encode() if isinstance(key, str) else key
    headers = {b"Authorization": user.bearer["Authorization"].encode(), b"Idempotency-Key": sent}
    return await client.post("/pets/create", json={"pet_name": pet_name}, headers=headers)


def validators(response: httpx.Response) -> tuple[str, str]:
    return response.headers["Location"], response.headers["ETag"]


async def purged(url: str) -> list[tuple[str, int, bool]]:
    return [reported async for reported in run_purges(url)]


async def pets(connection: asyncpg.Connection) -> int:
    number: int = await connection.fetchval("select count(*) from pets")
    return number


async def test_repeated_request_gets_the_first_response(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    first = await create(client, user)

    again = await create(client, user)

    pet_id = first.json()["id"]
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json() == {"id": pet_id, "pet_name": "Tadeusz", "user_id": str(user.id)}
    assert validators(first) == validators(again) == (f"/pets/{pet_id}", '"1"')
    assert await pets(connection) == 1


async def test_repeated_response_ignores_later_changes(client: httpx.AsyncClient, user: LoggedIn) -> None:
    first = await create(client, user)
    url = first.headers["Location"]
    await client.patch(url, json={"pet_name": "Ada"}, headers=user.bearer)

    renamed = await create(client, user)
    await client.delete(url, headers=user.bearer)
    removed = await create(client, user)

    assert first.content == renamed.content == removed.content
    assert validators(first) == validators(renamed) == validators(removed)


async def test_key_of_another_request_is_refused(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    await create(client, user)

    response = await create(client, user, "Ada")

    assert (response.status_code, response.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert await pets(connection) == 1
    assert (await create(client, user)).status_code == 201


async def test_other_key_is_another_request(client: httpx.AsyncClient, user: LoggedIn) -> None:
    first, second = await create(client, user), await create(client, user, key=KEY.upper())

    assert first.json()["id"] != second.json()["id"]


async def test_other_users_can_use_the_same_key(client: httpx.AsyncClient, user: LoggedIn, make: Factory) -> None:
    stranger = await make.user()

    responses = [await create(client, user), await create(client, stranger, "Ada")]

    assert [response.status_code for response in responses] == [201, 201]
    assert [response.json()["user_id"] for response in responses] == [str(user.id), str(stranger.id)]


@pytest.mark.parametrize(("age", "number"), [(timedelta(hours=23, minutes=59), 1), (timedelta(hours=24), 2)])
async def test_key_is_kept_for_24_hours(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection, age: timedelta, number: int
) -> None:
    """After that the key can be used again, also for another request, even if it was not cleaned up."""
    first = await create(client, user)
    await connection.execute("update idempotency_key set created_at = now() - $1::interval", age)

    second = await create(client, user, "Tadeusz" if number == 1 else "Ada")
    third = await create(client, user, "Tadeusz" if number == 1 else "Ada")

    assert second.json() == third.json()
    assert second.status_code == 201
    assert (first.json() == second.json()) == (number == 1)
    assert await pets(connection) == number


async def test_key_renewed_during_the_purge_is_kept(committed: Committed, own_database_url: str) -> None:
    """The purge has selected the key before the request that uses it again commits."""
    user = await committed.make.user()
    await create(committed.client, user)
    await create(committed.client, user, key="other")
    await committed.connection.execute("update idempotency_key set created_at = now() - interval '24 hours'")
    async with committed.connection.transaction():
        await committed.connection.fetch(CREATE_PET_ONCE.sql, user.session, user.id, "Tadeusz", KEY)
        purge = asyncio.create_task(purged(own_database_url))
        await blocked_statements(committed.connection, 1)

    assert ("Idempotency-Keys", 1, True) in await purge
    assert await committed.connection.fetchval("select key from idempotency_key") == KEY


async def test_repetition_does_not_prolong_a_key(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    await create(client, user)
    age = "update idempotency_key set created_at = now() - interval '1 hour' returning created_at"
    used = await connection.fetchval(age)

    await create(client, user)

    assert await connection.fetchval("select created_at from idempotency_key") == used


async def test_refused_request_uses_no_key(client: httpx.AsyncClient, user: LoggedIn) -> None:
    refused = await create(client, user, "")

    response = await create(client, user, "Ada")

    assert (refused.status_code, response.status_code) == (422, 201)


@pytest.mark.parametrize("key", ["x", "x" * 255, '"quoted"', "!~"])
async def test_key_has_1_to_255_visible_characters(client: httpx.AsyncClient, user: LoggedIn, key: str) -> None:
    response = await create(client, user, key=key)

    assert response.status_code == 201, response.text


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\tb", "a\0b", "\x7f", "é", b"\xff"])
async def test_invalid_key_is_refused(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection, key: str | bytes
) -> None:
    response = await create(client, user, key=key)

    assert response.status_code == 422, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == ["/Idempotency-Key"]
    assert await pets(connection) == 0


async def test_ended_session_uses_no_key(client: httpx.AsyncClient, user: LoggedIn) -> None:
    await client.post("/auth/logout", json={"refresh_token": user.tokens.refresh_token})

    response = await create(client, user)

    assert response.status_code == 401


async def test_one_of_50_equal_requests_creates_a_pet(committed: Committed) -> None:
    """The others get the same response, or a 409 until it is ready."""
    user = await committed.make.user()

    responses = await asyncio.gather(*(create(committed.client, user) for _ in range(50)))

    created = [response for response in responses if response.status_code == 201]
    assert {response.status_code for response in responses} <= {201, 409}
    assert len({response.content for response in created}) == 1
    assert await pets(committed.connection) == 1


async def test_concurrent_repetition_is_409(committed: Committed) -> None:
    user = await committed.make.user()
    async with committed.connection.transaction():
        await committed.connection.fetch(CREATE_PET_ONCE.sql, user.session, user.id, "Tadeusz", KEY)
        early = await create(committed.client, user)
    late = await create(committed.client, user)

    assert (early.status_code, early.json()["type"]) == (409, "/problems/request-in-flight")
    assert early.headers["Retry-After"] == "1"
    assert late.status_code == 201
    assert await pets(committed.connection) == 1


async def test_other_keys_and_users_are_not_blocked(committed: Committed) -> None:
    user, stranger = await committed.make.user(), await committed.make.user()
    async with committed.connection.transaction():
        await committed.connection.fetch(CREATE_PET_ONCE.sql, user.session, user.id, "Tadeusz", KEY)

        responses = [await create(committed.client, user, key="other"), await create(committed.client, stranger)]

    assert [response.status_code for response in responses] == [201, 201]


async def test_failed_request_leaves_its_key_free(committed: Committed) -> None:
    user = await committed.make.user()
    transaction = committed.connection.transaction()
    await transaction.start()
    await committed.connection.fetch(CREATE_PET_ONCE.sql, user.session, user.id, "Tadeusz", KEY)
    await transaction.rollback()

    response = await create(committed.client, user, "Ada")

    assert response.status_code == 201


async def test_response_committed_during_the_statement_is_found(committed: Committed) -> None:
    """The statement's snapshot is older than the commit; the conflict finds the row."""
    user = await committed.make.user()
    first = await create(committed.client, user)
    async with committed.connection.transaction():
        await committed.connection.execute(
            "insert into idempotency_key select user_id, 'newer', request_sha256, resource_id from idempotency_key"
        )
        late = asyncio.create_task(create(committed.client, user, key="newer"))
        await blocked_statements(committed.connection, 1)

    assert (await late).content == first.content


async def test_user_deleted_meanwhile_adds_no_pet(committed: Committed) -> None:
    user = await committed.make.user()
    async with committed.connection.transaction():
        await committed.connection.execute("delete from user_model")
        creating = asyncio.create_task(create(committed.client, user))
        await blocked_statements(committed.connection, 1)

    response = await creating

    assert (response.status_code, response.json()["detail"]) == (401, "The session has ended")


async def test_keys_are_deleted_with_their_user(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    await create(client, user)

    response = await client.delete("/users/me", headers=user.bearer)

    assert response.status_code == 204
    assert await connection.fetchval("select count(*) from idempotency_key") == 0


async def test_two_keys_are_422(client: httpx.AsyncClient, user: LoggedIn) -> None:
    """It is unknown which of them the client, or a proxy, will repeat."""
    keys = [("Idempotency-Key", "one"), ("Idempotency-Key", "two"), *user.bearer.items()]

    response = await client.post("/pets/create", json={"pet_name": "Tadeusz"}, headers=keys)

    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/Idempotency-Key"


async def test_header_is_documented(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    operation = document["paths"]["/pets/create"]["post"]
    [header] = operation["parameters"]

    assert (header["name"], header["in"], header["required"]) == ("Idempotency-Key", "header", False)
    assert header["schema"].items() >= {"minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}.items()
    assert "409" in operation["responses"]
