"""A new schema and new code are deployed while the old code serves."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clusters import servers
from tests.support.figures import Clients, Table
from tests.support.postgres import Postgres
from tests.support.processes import ROOT, Serve, check_out, command, environment, wait_until
from tests.support.resources import Resource

NEWEST = max(path.name for path in ROOT.glob("migrations/*.rollback.sql")).removesuffix(".rollback.sql")
FIRST, SECOND = (f"{int(NEWEST.partition('_')[0]) + number:04}" for number in (1, 2))
AFTER = f"-- Of this test.\n-- depends: {NEWEST}\n"
SLEEPS = AFTER + "do $$ begin perform pg_sleep({}); end $$;\n"
EXPAND = AFTER + "alter table {} add column colour text;\n"
CONTRACT = f"-- No code uses it any more.\n-- depends: {FIRST}_expand\nalter table {{}} drop column colour;\n"
# The insert of a query that takes its rows from a select.
INSERT = r"(insert into {} \([^)]*)(\)[^\n]*\n\s+select [^\n]*)"
SLEEPING = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"


def start_migrating(postgres: Postgres, cwd: Path) -> subprocess.Popen[str]:
    """Start `migrate`, like a release."""
    settings = environment({"DATABASE_URL": postgres.url})
    pipe = subprocess.PIPE
    return subprocess.Popen(command("migrate"), cwd=cwd, env=settings, stdout=pipe, stderr=pipe, text=True)


def release(postgres: Postgres, cwd: Path) -> None:
    """Migrate, and expect success."""
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
    """Start five releases of a long migration; the earlier tests of this file run meanwhile."""
    checkout = check_out(tmp_path_factory.mktemp("releases") / "checkout")
    write(checkout, f"{FIRST}_sleep", SLEEPS.format(14))
    with servers(template[0], folder) as new_postgres:
        postgres = new_postgres()
        releases = [start_migrating(postgres, checkout) for _ in range(5)]
        yield releases
        for release in releases:
            release.kill()


def test_release_after_a_killed_one_succeeds(postgres: Postgres, checkout: Path, table: Table) -> None:
    write(checkout, f"{FIRST}_sleep", SLEEPS.format("case when to_regclass('go') is null then 600 else 0 end"))
    killed = start_migrating(postgres, checkout)
    wait_until(lambda: postgres.ask(SLEEPING) == 1, "it is half-way")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    postgres.ask("create table go ()")

    release(postgres, checkout)

    table.add_line("a migration killed half-way", "the next release succeeds")


def test_old_and_new_code_serve_during_expand_and_contract(
    postgres: Postgres, serve: Serve, clients: Clients, checkout: Path, table: Table, resource: Resource
) -> None:
    """Expand, run both codes, then contract while only code without the column serves."""
    [query] = checkout.glob(f"sql/{resource.table}/create_*_once.sql")
    text, inserts = re.subn(INSERT.format(resource.table), r"\1, colour\2, 'brown'", query.read_text())
    query.write_text(text)
    assert inserts == 1
    old = serve(postgres.url)
    with clients(old, postgres, 16, pause=0.05) as by_old:
        time.sleep(1)
        write(checkout, f"{FIRST}_expand", EXPAND.format(resource.table))
        release(postgres, checkout)
        new = serve(postgres.url, cwd=checkout)
        with clients(new, postgres, 16, pause=0.05) as by_new:
            time.sleep(1)
        new.end()
        write(checkout, f"{SECOND}_contract", CONTRACT.format(resource.table))
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

    applied = sum(f"applied {FIRST}_sleep" in out for out, _ in outputs)
    statuses = [release.returncode for release in releases]
    table.add_line("5 releases at once, 14 s of migration", f"{statuses}", f"applied {applied} time")
    assert statuses == [0] * 5, outputs
    assert applied == 1
