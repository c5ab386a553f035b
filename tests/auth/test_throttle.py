"""Limits on password guesses, counted in PostgreSQL and shared by all processes."""

from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import ip_address, ip_network
from uuid import UUID

import asyncpg
import httpx
import pytest

from service.app import Service, create_app
from service.auth.throttle import COUNT_FAILED_LOGIN
from tests.support.accounts import PASSWORD
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import Factory, LoggedIn, log_in, service_client

HOME, ELSEWHERE = "127.0.0.1", "203.0.113.7"  # the factory's users have logged in from the first
# Two failures from one address on one account, four from one address, six on one account.
LIMITS = "2, 4, 6, 900"
WRONG = "a wrong password"


@pytest.fixture(scope="module")
def app(database_url: str, one_transaction: OneTransaction) -> Service:
    """Return the service behind one proxy, with low limits."""
    settings = make_settings(database_url, LOGIN_THROTTLE=LIMITS, TRUSTED_PROXY_HOPS="1")
    return create_app(settings, one_transaction)


async def guess(
    client: httpx.AsyncClient, email: str, password: str = WRONG, address: str = ELSEWHERE
) -> httpx.Response:
    form = {"username": email, "password": password}
    return await client.post("/auth/access-token", data=form, headers={"X-Forwarded-For": address})


async def guesses(client: httpx.AsyncClient, email: str, times: int, address: str = ELSEWHERE) -> list[int]:
    return [(await guess(client, email, address=address)).status_code for _ in range(times)]


async def test_right_password_is_429_after_too_many_wrong(client: httpx.AsyncClient, user: LoggedIn) -> None:
    statuses = await guesses(client, user.email, 3)

    right = await guess(client, user.email, PASSWORD)

    assert statuses == [400, 400, 429]
    assert right.status_code == 429
    assert right.headers["Content-Type"] == "application/problem+json"
    assert 0 < int(right.headers["Retry-After"]) <= 900
    assert right.headers["RateLimit-Policy"] == '"failed-logins";q=2;w=900'
    assert right.headers["RateLimit"] == f'"failed-logins";r=0;t={right.headers["Retry-After"]}'
    assert right.json() | {"instance": ""} == {
        "type": "/problems/too-many-logins",
        "title": "Too many failed log-ins",
        "status": 429,
        "detail": f"Try again in {right.headers['Retry-After']} seconds",
        "instance": "",
        "error": "invalid_request",
        "error_description": right.json()["detail"],
    }


async def test_wrong_password_shows_remaining_attempts(client: httpx.AsyncClient, user: LoggedIn) -> None:
    responses = [await guess(client, user.email) for _ in range(2)]

    assert [response.headers["RateLimit"].rpartition(";t=")[0] for response in responses] == [
        '"failed-logins";r=1',
        '"failed-logins";r=0',
    ]


async def test_unknown_account_is_counted_alike(client: httpx.AsyncClient) -> None:
    assert await guesses(client, "nobody@example.com", 3) == [400, 400, 429]


@pytest.mark.parametrize("email", ["USER@example.com", "user@EXAMPLE.com"])
async def test_account_is_counted_case_insensitively(client: httpx.AsyncClient, make: Factory, email: str) -> None:
    await make.user("user@example.com")
    await guesses(client, "user@example.com", 2)

    assert await guesses(client, email, 1) == [429]


async def test_owner_logs_in_from_a_known_network_meanwhile(client: httpx.AsyncClient, user: LoggedIn) -> None:
    statuses = [await guesses(client, user.email, 3, f"203.0.113.{number}") for number in range(4)]

    stranger = await guess(client, user.email, PASSWORD, "198.51.100.1")
    owner = await guess(client, user.email, PASSWORD, HOME)

    assert statuses == [[400, 400, 429]] * 3 + [[429] * 3]
    assert (stranger.status_code, owner.status_code) == (429, 200)


async def test_known_network_is_looked_up_in_1000_sessions(connection: asyncpg.Connection, user: LoggedIn) -> None:
    """Otherwise each refused log-in to an account with very many would take seconds."""
    await connection.execute(
        """insert into login_session (user_id, expires_at, ip) select $1, now(), $2 from generate_series(1, 999)""",
        *(user.id, ip_address("198.51.100.1")),
    )
    await connection.execute(
        "insert into login_session (user_id, expires_at, ip, id) values ($1, now(), $2, $3)",
        *(user.id, ip_address(ELSEWHERE), UUID(int=2**128 - 1)),
    )

    known = [
        await connection.fetchval("select logged_in_before($1, $2)", user.email, ip_network(each))
        for each in (HOME, "198.51.100.1", ELSEWHERE)
    ]

    assert known == [True, True, False]


async def test_network_is_throttled_on_all_accounts(client: httpx.AsyncClient, make: Factory) -> None:
    users = [await make.user() for _ in range(3)]

    statuses = [await guesses(client, each.email, 2) for each in users]

    assert statuses == [[400, 400], [400, 400], [429, 429]]
    assert (await guess(client, users[2].email, PASSWORD, HOME)).status_code == 200


async def test_single_network_cannot_exhaust_an_account(client: httpx.AsyncClient, user: LoggedIn) -> None:
    """Refused guesses do not count against the account."""
    await guesses(client, user.email, 20)

    assert (await guess(client, user.email, PASSWORD, "198.51.100.1")).status_code == 200


async def test_ipv6_addresses_of_a_prefix_count_as_one(client: httpx.AsyncClient, user: LoggedIn) -> None:
    statuses = [await guesses(client, user.email, 1, f"2001:db8::{number}") for number in range(3)]

    assert statuses == [[400], [400], [429]]
    assert await guesses(client, user.email, 1, "2001:db8:0:1::") == [400]


@pytest.mark.slow
async def test_ipv6_site_has_ten_times_the_limit(
    client: httpx.AsyncClient, make: Factory, connection: asyncpg.Connection
) -> None:
    """Each /64 is allowed four guesses, and the /48 around them forty."""
    user = await make.user()
    for number in range(10):
        for name in "abcd":
            await guesses(client, f"{name}{number}@example.com", 1, f"2001:db8:0:{number}::1")

    assert await guesses(client, "e@example.com", 1, "2001:db8:0:10::1") == [429]
    assert (await guess(client, user.email, PASSWORD, "2001:db8:0:10::1")).status_code == 429
    assert await guesses(client, "e@example.com", 1, "2001:db8:1::1") == [400]
    assert await connection.fetchval("select count(*) from login_throttle where masklen(network) = 48") == 2


@pytest.mark.parametrize(
    ("network", "exceeded"), [("203.0.113.7/32", "203.0.113.7/32"), ("2001:db8::/64", "2001:db8::/48")]
)
async def test_excess_of_a_network_spares_the_account(
    connection: asyncpg.Connection, network: str, exceeded: str
) -> None:
    await connection.execute("insert into login_throttle values ('', $1, 40, 4, now() + interval '1 hour')", exceeded)

    await connection.fetch(COUNT_FAILED_LOGIN.sql, "a@example.com", network, 2, 4, 6, timedelta(seconds=900))

    assert await connection.fetchval("select count(*) from login_throttle where account <> ''") == 0


async def test_log_in_resets_the_count(client: httpx.AsyncClient, user: LoggedIn) -> None:
    await guesses(client, user.email, 1)
    await guess(client, user.email, PASSWORD)

    assert await guesses(client, user.email, 3) == [400, 400, 429]


async def test_log_in_resets_the_count_of_every_spelling(client: httpx.AsyncClient, make: Factory) -> None:
    user = await make.user("ann@b\u00fccher.example.com")
    await guesses(client, "ann@xn--bcher-kva.example.com", 1)
    await guess(client, user.email, PASSWORD)

    assert await guesses(client, "Ann@B\u00dcCHER.example.com", 3) == [400, 400, 429]


async def test_log_in_leaves_other_accounts_counts(client: httpx.AsyncClient, make: Factory) -> None:
    """Otherwise a guesser could reset the count by logging in to their own account."""
    own, other = await make.user(), await make.user()
    await guesses(client, other.email, 2)

    assert (await guess(client, own.email, PASSWORD)).status_code == 200

    assert await guesses(client, other.email, 1) == [429]
    assert await guesses(client, "a@example.com", 3) == [400, 400, 429]
    assert await guesses(client, "b@example.com", 1) == [429]


async def test_count_restarts_after_the_window(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    await guesses(client, user.email, 3)
    await connection.execute("update login_throttle set ends_at = now()")

    assert await guesses(client, user.email, 3) == [400, 400, 429]


async def test_expired_counts_are_removed(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "insert into login_throttle select login_account(n::text), '203.0.113.0/32', 1, 1, now() "
        "from generate_series(1, 30) as n"
    )

    await guesses(client, user.email, 1)

    assert await connection.fetchval("select count(*) from login_throttle where ends_at <= now()") == 0
    assert await connection.fetchval("select count(*) from login_throttle") == 3


async def test_typed_email_is_not_stored(client: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    await guesses(client, "my password, in the wrong field", 1)

    rows = await connection.fetch("select * from login_throttle")
    assert {len(row["account"]) for row in rows} == {0, 32}
    assert "password" not in str(rows)


async def test_guessing_current_password_is_throttled(client: httpx.AsyncClient, user: LoggedIn) -> None:
    """A stolen access token does not include the password."""

    async def reset(current: str) -> int:
        body = {"password": "a password of a thief", "current_password": current}
        headers = user.bearer | {"X-Forwarded-For": ELSEWHERE}
        return (await client.post("/users/reset-password", json=body, headers=headers)).status_code

    assert [await reset(password) for password in ("wrong", "wrong", PASSWORD)] == [422, 422, 429]
    assert (await guess(client, user.email, PASSWORD, HOME)).status_code == 200


async def test_clients_without_address_count_as_one_network(
    app: Service, connection: asyncpg.Connection, user: LoggedIn
) -> None:
    transport = httpx.ASGITransport(app, client=("", 0))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        statuses = [(await log_in(client, user.email, "wrong")).status_code for _ in range(3)]

    assert statuses == [400, 400, 429]
    assert await connection.fetchval("select count(*) from login_throttle where network = '0.0.0.0/32'") == 2


@pytest.fixture
async def off(database_url: str, one_transaction: OneTransaction) -> AsyncIterator[httpx.AsyncClient]:
    settings = make_settings(database_url, LOGIN_THROTTLE="off")
    async with service_client(create_app(settings, one_transaction)) as client:
        yield client


async def test_throttle_can_be_switched_off(
    off: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "insert into login_throttle values (login_account($1), '127.0.0.1/32', 9, 5, 'infinity')", user.email
    )

    responses = [await log_in(off, user.email, password) for password in ("wrong", PASSWORD)]

    assert [response.status_code for response in responses] == [400, 200]
    assert "RateLimit" not in responses[0].headers
    assert await connection.fetchval("select count(*) from login_throttle") == 1
