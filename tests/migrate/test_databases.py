"""Unsuitable databases and poolers are rejected before anything is changed."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from service.migrate import MigrationError
from tests.support.migration_folder import Folder, value
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Postgres
from tests.support.programs import PGBOUNCER, needs


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_other_encodings_are_refused(folder: Folder, url: str, encoding: str) -> None:
    name = f"encoding_{encoding.lower()}_{value(url, 'select current_database()')}"
    other = re.sub(r"/[^/?]*\?", f"/{name}?", url)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"create database {name} encoding '{encoding}' locale 'C' template template0")

    with pytest.raises(MigrationError) as refusal:
        folder.apply(other)

    assert str(refusal.value) == (
        f"the encoding of the database is {encoding}, and the service needs UTF8: "
        "create the database with encoding 'UTF8' template template0"
    )
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)")


@pytest.mark.slow
@needs(PGBOUNCER)
def test_transaction_pooler_is_refused(folder: Folder, postgres_for_poolers: Postgres, tmp_path: Path) -> None:
    """Concurrent runs are refused as well; none leaves a lock behind."""
    with PgBouncer(PGBOUNCER, postgres_for_poolers, tmp_path / "pgbouncer") as pgbouncer:
        with ThreadPoolExecutor(4) as threads:
            runs = [threads.submit(folder.apply, pgbouncer.url) for _ in range(8)]

        for run in runs:
            with pytest.raises(MigrationError, match=r"^DATABASE_URL leads through a transaction pooler, "):
                run.result()
        assert postgres_for_poolers.ask("select count(*) from pg_locks where locktype = 'advisory'") == 0
        assert postgres_for_poolers.ask("select to_regclass('a')") is None


@pytest.mark.slow
@needs(PGBOUNCER)
def test_session_pooler_is_accepted(folder: Folder, postgres_for_poolers: Postgres, tmp_path: Path) -> None:
    with PgBouncer(PGBOUNCER, postgres_for_poolers, tmp_path / "pgbouncer", mode="session") as pgbouncer:
        assert folder.apply(pgbouncer.url) == ["0001_create_a"]
