"""`clean` removes expired rows and keeps those still needed."""

import asyncio
import os
import pty
import re
import subprocess

import asyncpg
import pytest

from service import app  # noqa: F401 - declares the purges
from service.purges import PURGES, run_purges
from tests.support.accounts import bearer
from tests.support.factories import Committed, LoggedIn, log_in
from tests.support.processes import ROOT, command, environment, run

# For each kind (add yours): its table, and rows that expired so many seconds ago; a negative number is in the future.
FILL = {
    "login sessions": (
        "login_session",
        "insert into login_session (user_id, expires_at) select $1::uuid, now() - interval '30 days' - over from ages",
    ),
    "counts of failed log-ins": (
        "login_throttle",
        """insert into login_throttle (account, network, failures, allowed, ends_at)
        select uuid_send($1::uuid) || interval_send(over), '::1', 1, 5, now() - over from ages""",
    ),
    "Idempotency-Keys": (
        "idempotency_key",
        """insert into idempotency_key (user_id, key, request_sha256, resource_id, created_at)
        select $1::uuid, extract(epoch from over)::text, '', 1, now() - interval '24 hours' - over from ages""",
    ),
}
AGES = "with ages as (select n * interval '1 second' as over from generate_series($2::int, $3::int) as n) "


async def fill(connection: asyncpg.Connection, kind: str, user: LoggedIn, first: int, last: int) -> None:
    """Add rows of a kind that expired `first` to `last` seconds ago."""
    await connection.execute(AGES + FILL[kind][1], user.id, first, last)


async def rows(connection: asyncpg.Connection, kind: str) -> int:
    """Return how many rows of a kind there are."""
    number: int = await connection.fetchval(f"select count(*) from {FILL[kind][0]}")
    return number


async def cleaned(url: str) -> list[tuple[str, int, bool]]:
    """Clean, and return the reported counts."""
    return [reported async for reported in run_purges(url)]


@pytest.mark.parametrize("kind", FILL)
async def test_expired_rows_are_removed_in_batches(kind: str, committed: Committed, own_database_url: str) -> None:
    user = await committed.make.user()
    before = await rows(committed.connection, kind)
    await fill(committed.connection, kind, user, -60, -60)
    await fill(committed.connection, kind, user, 1, 2500)

    reported = await cleaned(own_database_url)

    assert [each for each in reported if each[0] == kind] == [
        (kind, 1000, False),
        (kind, 2000, False),
        (kind, 2500, True),
    ]
    assert await rows(committed.connection, kind) == before + 1


@pytest.mark.parametrize("kind", FILL)
@pytest.mark.slow
async def test_plan_of_a_batch_expects_1000_rows(kind: str, committed: Committed) -> None:
    """Of a million, the generic plan for 100,000 would take half a second instead of 40 ms."""
    user = await committed.make.user()
    await fill(committed.connection, kind, user, 1, 30_000)
    await committed.connection.execute("analyze")

    lines = await committed.connection.fetch(f"explain (generic_plan) {PURGES[kind].sql}")

    [expected] = [int(found[1]) for (line,) in lines if (found := re.search(r"-> +Limit .* rows=(\d+)", line))]
    assert expected == 1000


async def test_locked_counts_are_left_for_next_time(committed: Committed, own_database_url: str) -> None:
    """A concurrent log-in can hold counts; no statement holds expired sessions and keys."""
    kind = "counts of failed log-ins"
    user = await committed.make.user()
    await fill(committed.connection, kind, user, 1, 1)
    async with committed.connection.transaction():
        await committed.connection.execute("select from login_throttle for update")
        await fill(committed.connection, kind, user, 2, 2)

        assert (kind, 0, True) in await cleaned(own_database_url)

    assert (kind, 2, True) in await cleaned(own_database_url)


async def test_two_concurrent_runs_share_the_work(committed: Committed, own_database_url: str) -> None:
    user = await committed.make.user()
    for kind in FILL:
        await fill(committed.connection, kind, user, 1, 5000)

    both = await asyncio.gather(cleaned(own_database_url), cleaned(own_database_url))

    removed = {
        kind: sum(each[1] for reported in both for each in reported if each[0] == kind and each[2]) for kind in FILL
    }
    assert removed == dict.fromkeys(FILL, 5000)


async def test_reused_token_is_still_recognized(committed: Committed, own_database_url: str) -> None:
    """However old the token, its session is kept until it expires, and reuse ends it."""
    user = await committed.make.user()
    spent = pair = {"refresh_token": user.tokens.refresh_token}
    for _ in range(2):
        pair = (
            await committed.client.post("/auth/refresh-token", json={"refresh_token": pair["refresh_token"]})
        ).json()
    await committed.connection.execute("update login_session set created_at = now() - interval '27 days'")

    await cleaned(own_database_url)

    stolen = await committed.client.post("/auth/refresh-token", json=spent)
    assert stolen.json()["error"] == "invalid_grant"
    assert (await committed.client.get("/users/me", headers=bearer(pair["access_token"]))).status_code == 401


async def test_ended_session_stays_until_its_expiry(committed: Committed, own_database_url: str) -> None:
    user = await committed.make.user()
    await committed.client.post("/auth/logout", json={"refresh_token": user.tokens.refresh_token})

    await cleaned(own_database_url)

    assert await rows(committed.connection, "login sessions") == 1


async def test_known_network_is_still_recognized(committed: Committed, own_database_url: str) -> None:
    """The account is locked by guesses; its owner logs in from the network of a month-old session."""
    user = await committed.make.user()
    await committed.connection.execute("update login_session set expires_at = now() - interval '29 days'")
    await committed.connection.execute(
        "insert into login_throttle values (login_account($1), '0.0.0.0/0', 50, 50, now() + interval '1 hour')",
        user.email,
    )

    await cleaned(own_database_url)

    assert (await log_in(committed.client, user.email)).status_code == 200


@pytest.mark.slow
async def test_command_prints_the_counts(committed: Committed, own_database_url: str) -> None:
    user = await committed.make.user()
    await fill(committed.connection, "Idempotency-Keys", user, 1, 2000)

    done = run("clean", settings={"DATABASE_URL": own_database_url})

    assert done.returncode == 0
    assert done.stderr == ""  # cron mails what is written there
    assert {*done.stdout.splitlines()} >= {
        "Idempotency-Keys: 2000 removed",
        "counts of failed log-ins: 0 removed",
        "login sessions: 0 removed",
    }


def clean_on_a_terminal(url: str) -> bytes:
    """Run the command with a terminal as its standard error; return what it shows."""
    ours, theirs = pty.openpty()
    settings = environment({"DATABASE_URL": url})
    subprocess.run(command("clean"), cwd=ROOT, env=settings, stdout=subprocess.DEVNULL, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 1000)
    os.close(ours)
    return shown


@pytest.mark.slow
async def test_command_shows_progress_on_a_terminal(committed: Committed, own_database_url: str) -> None:
    user = await committed.make.user()
    await fill(committed.connection, "Idempotency-Keys", user, 1, 2000)

    assert clean_on_a_terminal(own_database_url) == b"Idempotency-Keys: 1000 removed so far\r\n"
