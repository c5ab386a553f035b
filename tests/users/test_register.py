"""POST /users/register."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from uuid import UUID

import asyncpg
import httpx
import pytest
from argon2 import PasswordHasher

from service.app import create_app
from service.auth import passwords, throttle
from tests.support.accounts import PASSWORD, bearer
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import Committed, Factory, LoggedIn, log_in, service_client

JSON = {"Content-Type": "application/json"}


async def register(client: httpx.AsyncClient, email: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/users/register", json={"email": email, "password": password})


async def test_registered_user_can_log_in(client: httpx.AsyncClient) -> None:
    response = await register(client, "ann@example.com")

    assert response.status_code == 201, response.text
    user = response.json()
    assert user == {"id": str(UUID(user["id"])), "email": "ann@example.com"}
    pair = (await log_in(client, "ann@example.com")).json()
    assert (await client.get("/users/me", headers=bearer(pair["access_token"]))).json() == user


async def test_email_keeps_its_spelling(client: httpx.AsyncClient) -> None:
    response = await register(client, "Ann.Lee+Kites@Example.COM")

    assert response.json()["email"] == "Ann.Lee+Kites@Example.COM"


@pytest.mark.parametrize(
    ("email", "twin"),
    [
        ("ann@example.com", "ann@example.com"),
        ("ann@example.com", "ANN@EXAMPLE.COM"),
        ("Ann@example.com", "ann@Example.com"),
        ("émile@example.com", "ÉMILE@example.com"),
        ("e\u0301mile@example.com", "émile@example.com"),
        ("ann@bücher.example.com", "ann@xn--bcher-kva.example.com"),
        ("ann@\uff45xample.com", "ann@example.com"),
        ("\uff21nn@example.com", "ann@example.com"),
        ("I.ann@example.com", "i.ann@example.com"),
    ],
)
async def test_every_spelling_is_one_account(client: httpx.AsyncClient, make: Factory, email: str, twin: str) -> None:
    await make.user(email)

    response = await register(client, twin)

    assert (await log_in(client, twin)).status_code == 200
    assert response.status_code == 409, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json() == {
        "type": "/problems/email-taken",
        "title": "Cannot use this email address",
        "status": 409,
        "detail": "Cannot use this email address",
        "instance": response.json()["instance"],
    }


async def test_duplicate_registration_changes_nothing(client: httpx.AsyncClient, user: LoggedIn) -> None:
    await register(client, user.email.upper(), "the password of the twin")

    assert (await log_in(client, user.email, user.password)).status_code == 200
    assert (await log_in(client, user.email, "the password of the twin")).status_code == 400


async def test_one_of_fifty_equal_registrations_succeeds(committed: Committed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The constraint decides, without a query beforehand."""
    # Cheap hashes, so that the statements run almost at once.
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    spellings = ["ann@example.com", "Ann@Example.com"] * 25

    responses = await asyncio.gather(*(register(committed.client, email) for email in spellings))

    statuses = [response.status_code for response in responses]
    assert (statuses.count(201), statuses.count(409)) == (1, 49)
    assert await committed.connection.fetchval("select count(*) from user_model") == 1


async def test_email_of_a_deleted_account_is_free_again(client: httpx.AsyncClient, user: LoggedIn) -> None:
    await client.delete("/users/me", headers=user.bearer)

    response = await register(client, user.email)

    assert response.status_code == 201


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ann",
        "@example.com",
        "ann@",
        "ann@localhost",
        "ann@example",
        "ann@@example.com",
        "ann lee@example.com",
        " ann@example.com",
        "ann@example.com\n",
        "ann@example.com\nBcc: bob@example.com",
        "ann@[127.0.0.1]",
        "Ann <ann@example.com>",
        ".ann@example.com",
        "ann\0@example.com",
        "ann@exam\u200bple.com",
        "ann@" + "a" * 250 + ".com",
    ],
)
async def test_invalid_email_is_refused(client: httpx.AsyncClient, email: str) -> None:
    response = await register(client, email)

    assert response.status_code == 422, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == ["/email"]


async def test_email_may_be_as_long_as_smtp_allows(client: httpx.AsyncClient) -> None:
    """RFC 5321, erratum 1690: 254 characters."""
    email = f"{'a' * 64}@{'.'.join(['b' * 63, 'c' * 63, 'd' * 57])}.com"

    response = await register(client, email)

    assert (len(email), response.status_code) == (254, 201)


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ('{"password": "a password"}', "/email", "is missing"),
        ('{"email": "ann@example.com", "password": "1234567"}', "/password", "Expected str of length >= 8"),
        (
            '{"email": "ann@example.com", "password": "a password", "is_superuser": true}',
            "/is_superuser",
            "is not a known field",
        ),
    ],
)
async def test_invalid_field_is_pointed_at(client: httpx.AsyncClient, body: str, pointer: str, detail: str) -> None:
    response = await client.post("/users/register", content=body, headers=JSON)

    assert response.status_code == 422, response.text
    assert response.json() == {
        "type": "/problems/invalid-input",
        "title": "The input is not valid",
        "status": 422,
        "detail": f"{pointer or 'The body'}: {detail}",
        "instance": response.json()["instance"],
        "errors": [{"pointer": pointer, "detail": detail}],
    }


async def test_registration_as_form_is_415(client: httpx.AsyncClient) -> None:
    response = await client.post("/users/register", data={"email": "ann@example.com", "password": PASSWORD})

    assert response.status_code == 415
    assert response.headers["Accept-Post"] == "application/json"


async def test_no_refusal_repeats_the_password(client: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    response = await register(client, "ann", "a very secret password")

    assert "secret" not in response.text
    assert await connection.fetchval("select count(*) from user_model where email = 'ann'") == 0


@pytest.fixture
async def limited(database_url: str, one_transaction: OneTransaction) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of a service that allows two registrations per address."""
    settings = make_settings(database_url, REGISTRATION_THROTTLE="2, 600", TRUSTED_PROXY_HOPS="1")
    async with service_client(create_app(settings, one_transaction)) as client:
        client.headers["X-Forwarded-For"] = "203.0.113.7"
        yield client


@pytest.mark.usefixtures("connection")
async def test_too_many_registrations_from_a_network_are_429(limited: httpx.AsyncClient) -> None:
    """Attempts count, because a taken address costs a hash too."""
    emails = "ann@example.com", "ann@example.com", "ben@example.com"
    answers = [await register(limited, email) for email in emails]
    limited.headers["X-Forwarded-For"] = "198.51.100.1"
    elsewhere = await register(limited, "ben@example.com")

    assert [answer.status_code for answer in [*answers, elsewhere]] == [201, 409, 429, 201]
    assert 0 < int(answers[2].headers["Retry-After"]) <= 600
    assert answers[2].headers["RateLimit-Policy"] == '"registrations";q=2;w=600'
    assert answers[2].json()["type"] == "/problems/too-many-registrations"


async def test_registrations_do_not_count_against_log_ins(limited: httpx.AsyncClient, user: LoggedIn) -> None:
    for number in range(3):
        await register(limited, f"{number}@example.com")

    assert (await log_in(limited, user.email)).status_code == 200


@pytest.mark.slow
@pytest.mark.usefixtures("connection")
async def test_ipv6_site_registers_at_ten_times_the_limit(limited: httpx.AsyncClient) -> None:
    answers = []
    for number in range(22):
        limited.headers["X-Forwarded-For"] = f"2001:db8:0:{number // 2}::1"
        answers.append((await register(limited, "ann@example.com")).status_code)

    assert answers == [201] + [409] * 19 + [429] * 2


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize("variable", ["REGISTRATION_THROTTLE", "LOGIN_THROTTLE"])
async def test_registrations_can_be_unlimited(
    database_url: str, one_transaction: OneTransaction, variable: str
) -> None:
    settings = make_settings(database_url, **{"REGISTRATION_THROTTLE": "1, 600", variable: "off"})
    async with service_client(create_app(settings, one_transaction)) as client:
        answers = [(await register(client, "ann@example.com")).status_code for _ in range(2)]

    assert answers == [201, 409]


async def test_refusal_is_repeated_for_a_second_without_a_query(
    limited: httpx.AsyncClient, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(throttle, "time", SimpleNamespace(monotonic=lambda: now))
    for _ in range(3):
        await register(limited, "ann@example.com")
    await connection.execute("delete from login_throttle")

    within = await register(limited, "ann@example.com")
    now = 1.0
    after = await register(limited, "ann@example.com")

    assert [within.status_code, after.status_code] == [429, 409]


async def test_refused_networks_take_bounded_memory(
    limited: httpx.AsyncClient, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal of the second network replaces that of the first, which is then counted again."""
    monkeypatch.setattr(throttle, "MAX_REFUSALS", 1)
    monkeypatch.setattr(throttle, "time", SimpleNamespace(monotonic=lambda: 0.0))
    for address in ("203.0.113.7", "203.0.113.8"):
        limited.headers["X-Forwarded-For"] = address
        for _ in range(3):
            await register(limited, "ann@example.com")
    await connection.execute("delete from login_throttle")

    limited.headers["X-Forwarded-For"] = "203.0.113.7"
    again = await register(limited, "ann@example.com")

    assert again.status_code == 409
