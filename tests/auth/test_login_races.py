"""Log-ins that race with other changes to the account.

Each race is driven: a lock on the account's row holds the statements back, in the order in which they came.
"""

import asyncio

import asyncpg
import httpx
from argon2 import PasswordHasher

from service.app import create_app
from service.auth.passwords import HASHER
from service.postgres.pool import Pool
from tests.support.accounts import PASSWORD, bearer
from tests.support.application import make_settings
from tests.support.factories import Committed, Factory, LoggedIn, log_in, service_client
from tests.support.locks import blocked_statements

LOCK = "select from user_model for update"
NEW = "another password than before"
# Blocks statements that change a row, but not those that lock it.
UPDATES_WAIT = """
    create function wait() returns trigger language plpgsql as $$
    begin
        perform pg_advisory_xact_lock(1);
        return new;
    end $$;
    create trigger wait before update on user_model for each row execute function wait();
"""


async def reset(client: httpx.AsyncClient, user: LoggedIn) -> httpx.Response:
    return await client.post("/users/reset-password", json={"password": NEW}, headers=user.bearer)


async def test_log_in_behind_reset_fails_with_old_password(committed: Committed) -> None:
    """The password was right when it was checked, but not when the session was to be opened."""
    user = await committed.make.user()
    async with committed.connection.transaction():
        await committed.connection.execute(LOCK)
        resetting = asyncio.create_task(reset(committed.client, user))
        await blocked_statements(committed.connection, 1)
        logging_in = asyncio.create_task(log_in(committed.client, user.email))
        statements = await blocked_statements(committed.connection, 2)

    responses = await asyncio.gather(resetting, logging_in)

    assert ["reset_password" in statement for statement in statements] == [True, False]
    assert [response.status_code for response in responses] == [200, 400]
    assert responses[1].json()["detail"] == "Incorrect email or password"
    assert await committed.connection.fetchval("select count(*) from login_session where ended_at is null") == 1


async def test_log_in_before_reset_is_ended_by_it(committed: Committed) -> None:
    """The reset sees the new session although it began before that was committed."""
    user = await committed.make.user()
    async with committed.connection.transaction():
        await committed.connection.execute(LOCK)
        logging_in = asyncio.create_task(log_in(committed.client, user.email))
        await blocked_statements(committed.connection, 1)
        resetting = asyncio.create_task(reset(committed.client, user))
        statements = await blocked_statements(committed.connection, 2)

    responses = await asyncio.gather(logging_in, resetting)

    assert ["open_session" in statement for statement in statements] == [True, False]
    assert [response.status_code for response in responses] == [200, 200]
    pair = responses[0].json()
    assert (await committed.client.get("/users/me", headers=bearer(pair["access_token"]))).status_code == 401
    refreshed = await committed.client.post("/auth/refresh-token", json={"refresh_token": pair["refresh_token"]})
    assert refreshed.status_code == 400
    assert (await committed.client.get("/users/me", headers=user.bearer)).status_code == 200


async def test_log_in_behind_deletion_is_refused(committed: Committed) -> None:
    user = await committed.make.user()
    async with committed.connection.transaction():
        await committed.connection.execute("delete from user_model")
        logging_in = asyncio.create_task(log_in(committed.client, user.email))
        await blocked_statements(committed.connection, 1)

    response = await logging_in

    assert (response.status_code, response.json()["detail"]) == (400, "Incorrect email or password")


async def test_log_in_behind_rehash_uses_the_new_hash(committed: Committed) -> None:
    """The password is unchanged, so the log-in succeeds."""
    user = await committed.make.user()
    async with committed.connection.transaction():
        await committed.connection.execute("update user_model set hashed_password = $1", HASHER.hash(PASSWORD))
        logging_in = asyncio.create_task(log_in(committed.client, user.email))
        [statement] = await blocked_statements(committed.connection, 1)

    response = await logging_in

    assert "open_session" in statement
    assert response.status_code == 200, response.text
    assert await committed.connection.fetchval("select count(*) from login_session") == 2


async def test_failed_rehash_does_not_fail_log_in(own_database_url: str) -> None:
    """The session is already open; the next log-in can renew the hash."""
    pool = Pool(own_database_url, lock_timeout=20)
    app = create_app(make_settings(own_database_url), pool)
    connection = await asyncpg.connect(own_database_url)
    user = await Factory(app, connection).user()
    former = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    await connection.execute("update user_model set hashed_password = $1", former)
    await connection.execute(UPDATES_WAIT)
    async with pool.open(), service_client(app) as client, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(1)")

        response = await log_in(client, user.email)

    assert response.status_code == 200, response.text
    assert await connection.fetchval("select hashed_password from user_model") == former
    assert await connection.fetchval("select count(*) from login_session") == 2
    await connection.close()


async def test_concurrent_log_ins_do_not_hinder_each_other(committed: Committed) -> None:
    user = await committed.make.user()

    responses = await asyncio.gather(*(log_in(committed.client, user.email, PASSWORD) for _ in range(5)))

    assert {response.status_code for response in responses} == {200}
    assert await committed.connection.fetchval("select count(*) from login_session") == 6


async def test_no_connection_is_held_while_hashing(own_database_url: str) -> None:
    """A single connection serves many other requests meanwhile."""
    pool = Pool(own_database_url, size=1)
    app = create_app(make_settings(own_database_url), pool)
    connection = await asyncpg.connect(own_database_url)
    user = await Factory(app, connection).user()
    await connection.close()
    async with pool.open(), service_client(app) as client:
        logging_in = asyncio.gather(*(log_in(client, user.email) for _ in range(5)))
        served = 0
        while not logging_in.done():
            response = await client.get("/users/me", headers=user.bearer)
            served += response.status_code == 200
        await logging_in

    assert served > 5  # with a held connection, each log-in would let one of them through
