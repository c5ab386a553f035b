"""PgBouncer hands each transaction to another connection: nothing may hang on one of them."""

import time
from pathlib import Path

from tests.chaos.conftest import Clients, Serve
from tests.chaos.figures import Table
from tests.chaos.pgbouncer import PROGRAM, PgBouncer
from tests.postgres import Postgres
from tests.programs import needs

# What README.md and docs/scaling.md say for PgBouncer before 1.21.
DOCUMENTED = {
    "DATABASE_STATEMENT_CACHE": "0",
    "DATABASE_STATEMENT_TIMEOUT": "0",
    "DATABASE_LOCK_TIMEOUT": "0",
    "DATABASE_POOL_SIZE": "20",
}


@needs(PROGRAM)
def test_transaction_pooling_makes_no_error(
    postgres: Postgres, serve: Serve, clients: Clients, table: Table, tmp_path: Path
) -> None:
    folder = tmp_path / "pgbouncer"
    folder.mkdir()
    with PgBouncer(postgres, folder) as pgbouncer:
        served = serve(pgbouncer.url, WEB_CONCURRENCY="2", **DOCUMENTED)
        with clients(served, postgres, 64) as load:
            time.sleep(4)

    table.note("PgBouncer 1.18, transaction pooling", load.outcome)
    assert set(load.outcome.statuses) == {200, 201}
    assert (load.outcome.lost, load.outcome.duplicates) == (0, 0)


@needs(PROGRAM)
def test_a_killed_backend_behind_pgbouncer_is_503(
    postgres: Postgres, serve: Serve, clients: Clients, table: Table, tmp_path: Path
) -> None:
    folder = tmp_path / "pgbouncer"
    folder.mkdir()
    with PgBouncer(postgres, folder) as pgbouncer:
        served = serve(pgbouncer.url, **DOCUMENTED)
        with clients(served, postgres) as load:
            time.sleep(1)
            killed = time.monotonic()
            postgres.kill_one_backend()
            time.sleep(4)

    failing = load.outcome.failing_after(killed)
    table.note("kill -9 of a backend behind PgBouncer", load.outcome, f"fails for {failing:.2f} s")
    assert set(load.outcome.statuses) <= {200, 201, 503}
    assert failing < 3
    assert (load.outcome.lost, load.outcome.duplicates) == (0, 0)
