"""The column email_key in steps compatible with two releases: added, filled by a command, made unique."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from service.auth.emails import email_key
from service.timeouts import DATABASE_TIMEOUTS
from service.users.email_keys import FILL_EMAIL_KEYS, fill_email_keys
from tests.support.accounts import PASSWORD
from tests.support.factories import Committed, log_in
from tests.support.processes import ROOT, environment, run

OLD_INSERT = "insert into user_model (email, hashed_password) values (%s, 'x') returning id"
KEYS = "select email, email_key from user_model order by email"
OPERATIONS = ROOT / "docs" / "operations.md"
LATE = "late@example.com"
REGISTRATION = f"""
create function register() returns trigger language plpgsql as $$
begin
    insert into user_model (email, hashed_password) values ('{LATE}', 'x') on conflict do nothing;
    return null;
end $$;
create trigger registration after update on user_model execute function register();
"""


@pytest.mark.parametrize(
    ("email", "key"),
    [
        ("Ann.Lee+Kites@Example.COM", "ann.lee+kites@example.com"),
        ("e\u0301mile@example.com", "émile@example.com"),
        ("ann@XN--BCHER-KVA.example.com", "ann@bücher.example.com"),
        ("\uff21nn@\uff45xample.com", "ann@example.com"),
        ("stra\u00dfe@example.com", "stra\u00dfe@example.com"),
        ("No Address", "no address"),
        ("", ""),
        ("@" * 60_000, "@" * 60_000),
        ("Ann\0\ud800@example.com", "ann\0\ud800@example.com"),
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_key_is_the_same_for_every_spelling(email: str, key: str) -> None:
    assert email_key(email) == key
    assert email_key(key) == key


@pytest.fixture
def before_the_index(own_database_url: str) -> Iterator[psycopg.Connection]:
    """Return a connection to a database with the column but not yet its index."""
    with psycopg.connect(own_database_url, autocommit=True) as connection:
        while connection.execute("select to_regclass('user_model_email_key_key') is not null").fetchone() == (True,):
            done = run("migrate", "rollback", settings={"DATABASE_URL": own_database_url})
            assert done.returncode == 0, done.stderr
        yield connection


@pytest.mark.slow
def test_index_waits_for_the_command(own_database_url: str, before_the_index: psycopg.Connection) -> None:
    settings = {"DATABASE_URL": own_database_url}
    before_the_index.execute(OLD_INSERT, ["Ann@Example.com"])

    refused = run("migrate", settings=settings)
    filled = run("fill-email-keys", settings=settings)
    applied = run("migrate", settings=settings)

    assert refused.returncode == 1
    assert "1 accounts have no email_key: run python -m service fill-email-keys, then migrate again" in refused.stderr
    assert (filled.returncode, filled.stdout) == (0, "1 filled\n")
    assert applied.returncode == 0, applied.stderr
    assert before_the_index.execute(KEYS).fetchall() == [("Ann@Example.com", "ann@example.com")]


@pytest.mark.slow
def test_documented_release_command_survives_a_registration(
    own_database_url: str, before_the_index: psycopg.Connection
) -> None:
    """The old release adds an account while `fill-email-keys` ends."""
    before_the_index.execute(OLD_INSERT, ["ann@example.com"])
    before_the_index.execute(REGISTRATION)
    [script] = re.findall(r"0012_index_email_key.*?```sh\n(.*?)```", OPERATIONS.read_text(encoding="utf-8"), re.DOTALL)

    done = subprocess.run(
        ["/bin/sh", "-c", script.replace("python", sys.executable)],
        cwd=ROOT,
        env=environment({"DATABASE_URL": own_database_url}),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert before_the_index.execute(KEYS).fetchall() == [(email, email) for email in ("ann@example.com", LATE)]


@pytest.mark.slow
def test_command_reports_colliding_accounts(own_database_url: str, before_the_index: psycopg.Connection) -> None:
    twins = "ann@bücher.example.com", "ann@xn--bcher-kva.example.com"
    for email in (*twins, "ben@example.com"):
        before_the_index.execute(OLD_INSERT, [email])

    done = run("fill-email-keys", settings={"DATABASE_URL": own_database_url})

    assert (done.returncode, done.stdout) == (1, "1 filled\n")
    for email in twins:
        assert email in done.stderr
    assert before_the_index.execute(KEYS).fetchall() == [
        *((email, None) for email in twins),
        ("ben@example.com", "ben@example.com"),
    ]


async def test_filling_goes_on_where_it_was_stopped(committed: Committed, own_database_url: str) -> None:
    await committed.connection.execute(
        "insert into user_model (email, hashed_password) select 'User' || n || '@example.com', 'x'"
        " from generate_series(1, 10) as n"
    )
    stopped = fill_email_keys(own_database_url, batch=3)
    assert await anext(stopped) == (3, [])
    await stopped.aclose()

    assert [filled async for filled, _ in fill_email_keys(own_database_url, batch=3)] == [3, 3, 1]

    assert await committed.connection.fetchval("select count(*) from user_model where email_key = lower(email)") == 10


@pytest.mark.slow
async def test_filling_can_take_longer_than_a_requests_statement(committed: Committed, own_database_url: str) -> None:
    """It does with millions of accounts; here, it waits for one."""

    async def fill() -> list[int]:
        return [filled async for filled, _ in fill_email_keys(own_database_url)]

    await committed.connection.execute("insert into user_model (email, hashed_password) values ('a@example.com', 'x')")
    async with committed.connection.transaction():
        await committed.connection.execute("select from user_model for update")
        filling = asyncio.create_task(fill())
        await asyncio.wait([filling], timeout=DATABASE_TIMEOUTS.request + 0.5)

    assert await filling == [1]


async def test_keys_are_filled_by_id_before_the_new_column_has_statistics(committed: Committed) -> None:
    """Comparing each account with each given one would take hours for a million."""
    connection = committed.connection
    await connection.execute(
        """
        insert into user_model (email, hashed_password)
        select n || '@example.com', 'x' from generate_series(1, 20000) as n;
        alter table user_model drop column email_key;
        analyze user_model;
        alter table user_model add column email_key text collate "C"
        """
    )
    given = await connection.fetchrow(
        "select array_agg(id), array_agg(email) from (select id, email from user_model limit 10000) as listed"
    )

    assert given
    plan = [line for (line,) in await connection.fetch(f"explain {FILL_EMAIL_KEYS.sql}", *given)]

    assert [line for line in plan if "Join Filter: (user_model_1.id = " in line] == []


async def test_accounts_changed_meanwhile_are_not_reported_as_collisions(committed: Committed) -> None:
    """One was deleted and one filled by another run since they were listed; a third has the key of another account."""
    connection = committed.connection
    filled, twin, _ = [await committed.make.user(f"{name}@example.com") for name in ("filled", "twin", "other")]
    await connection.execute("update user_model set email_key = null where id = $1", twin.id)
    keys = {uuid4(): "deleted@example.com", filled.id: "filled@example.com", twin.id: "other@example.com"}

    collisions = await connection.fetch(FILL_EMAIL_KEYS.sql, list(keys), list(keys.values()))

    assert [tuple(each) for each in collisions] == [(twin.id, "other@example.com")]


async def test_account_of_the_release_before_can_log_in(committed: Committed) -> None:
    """It was registered while both releases served requests."""
    user = await committed.make.user("Ann@example.com")
    await committed.connection.execute("update user_model set email_key = null")

    answers = [await log_in(committed.client, email) for email in ("ANN@example.com", user.email)]
    taken = await committed.client.post("/users/register", json={"email": "ann@EXAMPLE.com", "password": PASSWORD})

    assert [answer.status_code for answer in answers] == [200, 200]
    assert taken.status_code == 409
