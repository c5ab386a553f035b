"""PgBouncer gives each transaction another connection, so nothing may depend on one of them."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.figures import Clients, Table
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Postgres
from tests.support.processes import Serve
from tests.support.programs import PGBOUNCER, PGBOUNCER_OF_DEBIAN_13, needs
from tests.support.resources import Resource

EACH = [
    pytest.param(PGBOUNCER, marks=needs(PGBOUNCER), id="old"),
    pytest.param(PGBOUNCER_OF_DEBIAN_13, marks=needs(PGBOUNCER_OF_DEBIAN_13), id="new"),
]


@pytest.fixture
def pgbouncer(request: pytest.FixtureRequest, postgres: Postgres, tmp_path: Path) -> Iterator[PgBouncer]:
    """Return a PgBouncer in front of the test's server."""
    with PgBouncer(request.param, postgres, tmp_path / "pgbouncer") as pgbouncer:
        yield pgbouncer


@pytest.mark.parametrize("pgbouncer", EACH, indirect=True)
def test_transaction_pooling_causes_no_error(
    pgbouncer: PgBouncer, postgres: Postgres, serve: Serve, clients: Clients, table: Table
) -> None:
    served = serve(pgbouncer.url, WEB_CONCURRENCY="2", DATABASE_POOL_SIZE="20", **pgbouncer.settings)
    with clients(served, postgres, 64) as load:
        time.sleep(2)
    prepared = pgbouncer.prepared_statements()

    table.note(f"{pgbouncer.name}, transaction pooling", load.outcome, f"{prepared} statements prepared")
    assert set(load.outcome.statuses) == {200, 201}
    assert (load.outcome.lost, load.outcome.duplicates) == (0, 0)
    assert (prepared > 0) == pgbouncer.prepares


@pytest.mark.parametrize("pgbouncer", EACH, indirect=True)
def test_killed_backend_behind_pgbouncer_is_503(
    pgbouncer: PgBouncer, postgres: Postgres, serve: Serve, clients: Clients, table: Table
) -> None:
    served = serve(pgbouncer.url, DATABASE_POOL_SIZE="20", **pgbouncer.settings)
    with clients(served, postgres) as load:
        time.sleep(1)
        killed = time.monotonic()
        postgres.kill_one_backend()
        time.sleep(4)

    failing = load.outcome.failing_after(killed)
    table.note(f"kill -9 of a backend behind {pgbouncer.name}", load.outcome, f"fails for {failing:.2f} s")
    load.outcome.check()
    assert load.outcome.statuses[503] > 0
    assert failing < 3  # PgBouncer retries each second (server_login_retry), and its first attempt can be too early


@pytest.mark.parametrize("pgbouncer", EACH[1:], indirect=True)
def test_restarting_pgbouncer_is_503_until_it_is_back(
    pgbouncer: PgBouncer, postgres: Postgres, serve: Serve, clients: Clients, table: Table
) -> None:
    served = serve(pgbouncer.url, DATABASE_POOL_SIZE="20", **pgbouncer.settings)
    with clients(served, postgres) as load:
        time.sleep(1)
        pgbouncer.kill()
        time.sleep(0.5)
        pgbouncer.start()
        back = time.monotonic()
        time.sleep(1.2)

    failing = load.outcome.failing_after(back)
    table.note(f"kill -9 of {pgbouncer.name}, 0.5 s down", load.outcome, f"fails for {failing:.2f} s after it is back")
    load.outcome.check()
    assert load.outcome.statuses[503] > 0
    assert failing < 1


@pytest.mark.parametrize("pgbouncer", EACH[1:], indirect=True)
def test_changed_column_type_causes_no_error(
    pgbouncer: PgBouncer, postgres: Postgres, serve: Serve, clients: Clients, table: Table, resource: Resource
) -> None:
    """PgBouncer keeps statements prepared before the change, for all its clients."""
    served = serve(pgbouncer.url, WEB_CONCURRENCY="2", **pgbouncer.settings)
    with clients(served, postgres, 16) as load:
        for type_ in ("text", "varchar(50)"):
            time.sleep(1)
            postgres.ask(f"alter table {resource.table} alter {resource.field} type {type_}")
        time.sleep(1)

    table.note(f"a column changes its type behind {pgbouncer.name}", load.outcome)
    assert set(load.outcome.statuses) == {200, 201}
    assert (load.outcome.lost, load.outcome.duplicates) == (0, 0)
