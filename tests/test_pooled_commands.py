"""Commands through a transaction pooler, which gives each of them the server process of another."""

from pathlib import Path

import pytest

from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Postgres
from tests.support.processes import run
from tests.support.programs import PGBOUNCER, needs


@pytest.mark.slow
@needs(PGBOUNCER)
def test_commands_prepare_no_statement(postgres_for_poolers: Postgres, tmp_path: Path) -> None:
    """A PgBouncer before 1.21 does not know of prepared statements: the next command would find them."""
    migrated = run("migrate", settings={"DATABASE_URL": postgres_for_poolers.url})
    with PgBouncer(PGBOUNCER, postgres_for_poolers, tmp_path / "pgbouncer") as pgbouncer:
        settings = {"DATABASE_URL": pgbouncer.url, "FIRST_SUPERUSER_PASSWORD": "some long password"}
        commands = "clean", "fill-email-keys", "create-user ada@example.com", "clean"
        done = [run(*command.split(), settings=settings) for command in commands]

    assert [(each.returncode, each.stderr) for each in (migrated, *done)] == [(0, "")] * 5
