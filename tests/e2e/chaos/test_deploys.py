"""A new schema and new code come while the old code serves."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clusters import servers
from tests.support.figures import Clients, Table
from tests.support.postgres import Postgres
from tests.support.processes import ROOT, Serve, check_out, command, environment, until

AFTER_0005 = "-- Of this test.\n-- depends: 0005_create_idempotency_key\n"
SLEEPS = AFTER_0005 + "do $$ begin perform pg_sleep({}); end $$;\n"
EXPAND = AFTER_0005 + "alter table pets add column colour text;\n"
CONTRACT = "-- No code uses it any more.\n-- depends: 0006_expand\nalter table pets drop column colour;\n"
SLEEPING = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"


def start_migrating(postgres: Postgres, cwd: Path) -> subprocess.Popen[str]:
    """Start `migrate`, as a release does."""
    settings = environment({"DATABASE_URL": postgres.url})
    pipe = subprocess.PIPE
    return subprocess.Popen(command("migrate"), cwd=cwd, env=settings, stdout=pipe, stderr=pipe, text=True)


def release(postgres: Postgres, cwd: Path) -> None:
    """Migrate, and succeed."""
    process = start_migrating(postgres, cwd)
    output = process.communicate(timeout=60)
    assert process.returncode == 0, output


def write(checkout: Path, name: str, sql: str) -> None:
    """Add a migration to the copy of the code."""
    (checkout / "migrations" / f"{name}.sql").write_text(sql)
    (checkout / "migrations" / f"{name}.rollback.sql").write_text("select 1;\n")


@pytest.fixture(scope="module", autouse=True)
def releases(
    template: tuple[Path, list[str]], folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[subprocess.Popen[str]]]:
    """Start five releases of a long migration; the tests of this file that come first pass the time meanwhile."""
    checkout = check_out(tmp_path_factory.mktemp("releases") / "checkout")
    write(checkout, "0006_sleep", SLEEPS.format(14))
    with servers(template[0], folder) as new_postgres:
        postgres = new_postgres()
        releases = [start_migrating(postgres, checkout) for _ in range(5)]
        yield releases
        for release in releases:
            release.kill()


def test_release_after_a_killed_one_succeeds(postgres: Postgres, checkout: Path, table: Table) -> None:
    write(checkout, "0006_sleep", SLEEPS.format("case when to_regclass('go') is null then 600 else 0 end"))
    killed = start_migrating(postgres, checkout)
    until(lambda: postgres.ask(SLEEPING) == 1, "it is half-way")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    postgres.ask("create table go ()")

    release(postgres, checkout)

    table.say("a migration killed half-way", "the next release succeeds")


def test_old_and_new_code_serve_during_expand_and_contract(
    postgres: Postgres, serve: Serve, clients: Clients, checkout: Path, table: Table
) -> None:
    """Expand; both codes; then contract, while the code serves that does not use the column."""
    query = checkout / "sql/pets/create_pet_once.sql"
    old_text = query.read_text()
    new_text = old_text.replace(
        "insert into pets (user_id, id, pet_name)", "insert into pets (user_id, id, pet_name, colour)"
    )
    query.write_text(
        new_text.replace(
            "select request.user_id, request.pet_id, $2\n", "select request.user_id, request.pet_id, $2, 'brown'\n"
        )
    )
    assert query.read_text().count("brown") == new_text.count("colour") == 1
    old = serve(postgres.url)
    with clients(old, postgres, 16, pause=0.05) as by_old:
        time.sleep(1)
        write(checkout, "0006_expand", EXPAND)
        release(postgres, checkout)
        new = serve(postgres.url, cwd=checkout)
        with clients(new, postgres, 16, pause=0.05) as by_new:
            time.sleep(1)
        new.end()
        write(checkout, "0007_contract", CONTRACT)
        release(postgres, checkout)
        time.sleep(1)

    table.note("expand and contract, old code", by_old.outcome)
    table.note("expand and contract, new code", by_new.outcome)
    assert checkout != ROOT
    for outcome in (by_old.outcome, by_new.outcome):
        assert set(outcome.statuses) == {200, 201}
        assert (outcome.lost, outcome.duplicates) == (0, 0)


def test_five_concurrent_releases_migrate_once(releases: list[subprocess.Popen[str]], table: Table) -> None:
    outputs = [release.communicate(timeout=60) for release in releases]

    applied = sum("applied 0006_sleep" in out for out, _ in outputs)
    statuses = [release.returncode for release in releases]
    table.say("5 releases at once, 14 s of migration", f"{statuses}", f"applied {applied} time")
    assert statuses == [0] * 5, outputs
    assert applied == 1
