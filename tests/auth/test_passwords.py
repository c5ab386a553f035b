"""Passwords: rules, storage and log-in."""

import asyncio
import time
import unicodedata

import asyncpg
import httpx
import pytest
from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError
from structlog.testing import capture_logs

from service.auth.controllers import UPGRADE_PASSWORD_HASH
from service.auth.passwords import COMMON_PASSWORDS, DECOY, HASHER, password_errors
from tests.support.accounts import PASSWORD
from tests.support.factories import LoggedIn, hash_once, log_in

STORED = "select hashed_password from user_model where id = $1"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PART_OF_ADDRESS = "is part of the email address; choose another password"
STORE = "update user_model set hashed_password = $2 where id = $1"


async def register(client: httpx.AsyncClient, password: str) -> httpx.Response:
    return await client.post("/users/register", json={"email": "ann@example.com", "password": password})


@pytest.mark.parametrize(
    ("password", "cut"),
    [
        pytest.param("zq7 kw4v", "zq7 kw4", id="eight characters"),
        pytest.param("x" * 128, "x" * 127, id="128 characters"),
        pytest.param("😀" * 128, "😀" * 127, id="128 characters of four bytes"),
        pytest.param("        ", "       ", id="spaces"),
        pytest.param(" in between  and around ", "in between  and around", id="spaces around"),
        pytest.param("пароль Ääß 密码", "???? Ääß ??", id="any alphabet"),
        pytest.param("before\0after", "before\0", id="NUL"),
        pytest.param("\r\n\t\x1b\x7f\u200b\ufffe!", "!", id="controls"),
        pytest.param("%41+&=;%00", "A &=;\0", id="what forms escape"),
    ],
)
async def test_every_character_counts(client: httpx.AsyncClient, password: str, cut: str) -> None:
    """No character is cut, trimmed or forbidden: NIST SP 800-63B-4, 3.1.1.2."""
    registered = await register(client, password)

    assert registered.status_code == 201, registered.text
    assert (await log_in(client, "ann@example.com", password)).status_code == 200
    assert (await log_in(client, "ann@example.com", cut)).status_code == 400


@pytest.mark.parametrize(
    "password",
    ["", "1234567", "éáíóúàè", "e\u0301" * 7, "x" * 129, "\u1faf" * 129, "😀" * 129, "\u0958" * 65],
    ids=lambda text: ascii(text)[:20],
)
async def test_password_has_8_to_128_characters(client: httpx.AsyncClient, password: str) -> None:
    response = await register(client, password)

    assert response.status_code == 422, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == ["/password"]


@pytest.mark.parametrize(
    "password",
    ["Ann.Miller@Example.com", "ann.MILLER", "example.com", unicodedata.normalize("NFD", "ann.miller@exämple.com")],
    ids=["address", "name", "domain", "other Unicode form"],
)
async def test_part_of_the_address_is_no_password(client: httpx.AsyncClient, password: str) -> None:
    email = "ann.miller@exämple.com" if "a\u0308" in password else "ann.miller@example.com"

    response = await client.post("/users/register", json={"email": email, "password": password})

    assert response.status_code == 422, response.text
    assert response.json()["errors"] == [{"pointer": "/password", "detail": PART_OF_ADDRESS}]


async def test_reset_to_the_address_changes_nothing(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await client.post("/users/reset-password", json={"password": user.email}, headers=user.bearer)

    assert response.status_code == 422, response.text
    assert response.json()["errors"] == [{"pointer": "/password", "detail": PART_OF_ADDRESS}]
    assert (await log_in(client, user.email)).status_code == 200


@pytest.mark.parametrize("letter", ["é", "\u1faf"], ids=ascii)
async def test_length_is_counted_after_normalization(client: httpx.AsyncClient, letter: str) -> None:
    """As NFD, the password has 256 or 512 code points."""
    password = unicodedata.normalize("NFD", letter * 128)

    registered = await register(client, password)

    assert registered.status_code == 201, registered.text
    assert (await log_in(client, "ann@example.com", password)).status_code == 200


@pytest.mark.parametrize("form", ["NFC", "NFD"])
async def test_composed_and_decomposed_letters_are_equal(client: httpx.AsyncClient, form: str) -> None:
    """Keyboards differ in the form that they send."""
    forms = {name: unicodedata.normalize(name, "Crème brûlée, señor") for name in ("NFC", "NFD")}
    await register(client, forms.pop(form))

    response = await log_in(client, "ann@example.com", *forms.values())

    assert response.status_code == 200, response.text


async def test_lookalike_letters_differ(client: httpx.AsyncClient) -> None:
    """NFC, not NFKC."""
    await register(client, "ﬁle number 1")

    response = await log_in(client, "ann@example.com", "file number 1")

    assert response.status_code == 400


async def test_only_an_argon2id_hash_is_stored(client: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    registered = await register(client, PASSWORD)

    stored = await connection.fetchval(STORED, registered.json()["id"])
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    "former",
    [
        PasswordHasher(time_cost=1, memory_cost=8, parallelism=1),
        PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, hash_len=16, salt_len=8),
        PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, type=Type.I),
    ],
    ids=["cheaper", "shorter", "argon2i"],
)
async def test_log_in_rehashes_outdated_parameters(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection, former: PasswordHasher
) -> None:
    await connection.execute(STORE, user.id, former.hash(PASSWORD))

    response = await log_in(client, user.email)

    assert response.status_code == 200, response.text
    stored = await connection.fetchval(STORED, user.id)
    assert not HASHER.check_needs_rehash(stored)
    assert (await log_in(client, user.email)).status_code == 200
    assert await connection.fetchval(STORED, user.id) == stored


async def test_wrong_password_does_not_rehash(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    stored = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    await connection.execute(STORE, user.id, stored)

    await log_in(client, user.email, "wrong")

    assert await connection.fetchval(STORED, user.id) == stored


async def test_rehash_does_not_overwrite_a_changed_password(user: LoggedIn, connection: asyncpg.Connection) -> None:
    """Otherwise a log-in with the old password could restore it."""
    renewed = await connection.execute(UPGRADE_PASSWORD_HASH.sql, user.id, "the hash of before", hash_once("old"))

    assert renewed == "UPDATE 0"


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "x",
        "$argon2id$",
        "$argon2id$v=19$m=19456,t=2,p=1$",
        "$argon2id$v=19$m=0,t=0,p=0$AAAAAAAAAAA$AAAAAAAAAAA",
        "$argon2id$é",
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
    ],
)
@pytest.mark.parametrize("password", [PASSWORD, "nobody has this password"])
async def test_malformed_stored_hash_is_refused(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection, garbage: str, password: str
) -> None:
    await connection.execute(STORE, user.id, garbage)

    response = await log_in(client, user.email, password)

    assert (response.status_code, response.json()["detail"]) == (400, "Incorrect email or password")


@pytest.mark.parametrize("field", ["username", "password"])
async def test_long_text_of_accents_takes_no_time(client: httpx.AsyncClient, field: str) -> None:
    """NFC sorts them, in quadratic time: 30,000 would block the event loop for more than a second."""
    form = {"username": "ann@example.com", "password": "wrong"} | {field: "\u0301" * 15_000 + "\u0327" * 15_000}
    body = "&".join(f"{name}={text}" for name, text in form.items()).encode()

    used = time.thread_time()
    response = await client.post("/auth/access-token", content=body, headers=FORM)

    assert response.status_code == 400
    assert time.thread_time() - used < 0.3


@pytest.mark.parametrize("password", ["password", "12345678", "PassWord", "password123", "iloveyou"])
async def test_common_password_is_refused(client: httpx.AsyncClient, user: LoggedIn, password: str) -> None:
    registered = await register(client, password)
    reset = await client.post("/users/reset-password", json={"password": password}, headers=user.bearer)

    for response in (registered, reset):
        assert response.status_code == 422
        assert response.json()["errors"] == [
            {"pointer": "/password", "detail": "is too common; choose another password"}
        ]
    assert (await log_in(client, user.email)).status_code == 200


@pytest.mark.slow
def test_common_passwords_are_valid_passwords() -> None:
    passwords = COMMON_PASSWORDS.decode().split("\n")[1:-1]

    assert len(passwords) > 16_000
    assert all(8 <= len(password) <= 128 for password in passwords)
    assert all(password == password.lower() for password in passwords)
    assert all(password_errors(password) for password in passwords)


@pytest.mark.parametrize("password", ["password", "пїѕпїѕпїѕпїѕ"])
def test_part_of_common_passwords_is_not_common(password: str) -> None:
    """Neither a part of a line nor several lines."""
    after = COMMON_PASSWORDS.decode().partition(f"\n{password}\n")[2].partition("\n")[0]

    assert password_errors(password)
    for other in (f"{password}\n{after}", f"\n{password}", f"{password}\n", f" {password}"):
        assert not password_errors(other)


def test_decoy_costs_as_much_as_a_stored_hash() -> None:
    """Otherwise the time of a log-in would tell whether the account exists."""
    with pytest.raises(VerifyMismatchError):
        HASHER.verify(DECOY, PASSWORD)

    assert not HASHER.check_needs_rehash(DECOY)


@pytest.mark.parametrize("costs", ["m=4194304,t=1,p=1", "m=19456,t=1000000,p=1", "m=19456,t=2,p=200"])
async def test_too_expensive_stored_hash_is_not_run(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection, costs: str
) -> None:
    """One such hash in the table would take 4 GiB or minutes, and stop the service."""
    stored = hash_once(PASSWORD).replace("m=19456,t=2,p=1", costs)
    await connection.execute(STORE, user.id, stored)

    async with asyncio.timeout(5):
        with capture_logs() as logs:
            response = await log_in(client, user.email)

    assert response.status_code == 400
    assert "stored password hash exceeds the cost limit; not verified" in [entry["event"] for entry in logs]
