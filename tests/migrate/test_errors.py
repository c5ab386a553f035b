"""The message for a failed migration, and the state of the database after it."""

import socket
import time

import psycopg
import pytest

from service.embedded import EmbeddedPostgres
from service.migrate import MigrationError
from service.postgres.libpq import CONNECT_TIMEOUT
from tests.support.migration_folder import Folder, value


def test_error_names_file_line_and_hint(folder: Folder, url: str) -> None:
    folder.apply(url)
    folder.write("0002_fill_a", "-- Why\n\ncreate table b ();\n-- é\ninsert into a\nselect 1 as one\nwhere idd = 1;")

    with pytest.raises(MigrationError) as refusal:
        folder.apply(url)

    assert str(refusal.value) == (
        'migrations/0002_fill_a.sql:7: column "idd" does not exist '
        '(Perhaps you meant to reference the column "a.id".); nothing in this file has taken effect'
    )
    assert folder.states(url)["0002_fill_a"] == "pending"
    assert value(url, "select to_regclass('b')") is None


def test_error_without_position_names_the_statements_line(folder: Folder, url: str) -> None:
    folder.write(
        "0001_create_a", "create table a ();\n\ndo $$\nbegin\n    raise 'too late' using hint = 'sooner';\nend $$;"
    )

    with pytest.raises(MigrationError, match=r"^migrations/0001_create_a\.sql:3: too late \(sooner\); nothing in this"):
        folder.apply(url)


def test_error_shows_no_row(folder: Folder, url: str) -> None:
    folder.write(
        "0001_create_a",
        "create table a (hash text, email text not null);\ninsert into a values ('secret', null);",
    )

    with pytest.raises(MigrationError) as refusal:
        folder.apply(url)

    assert "secret" not in str(refusal.value)


def test_error_in_a_rollback_names_its_file(folder: Folder, url: str) -> None:
    folder.write("0001_create_a", "create table a ();", "drop table a;\n-- Why\ndrop table b;")
    folder.apply(url)

    with pytest.raises(
        MigrationError, match=r'^migrations/0001_create_a\.rollback\.sql:3: table "b" does not exist; no'
    ):
        folder.rollback(url)

    assert folder.states(url) == {"0001_create_a": "applied"}


def test_error_while_marking_names_only_the_file(folder: Folder, url: str) -> None:
    folder.apply(url)
    folder.write("0002_drop_log", "drop table _yoyo_log;")

    with pytest.raises(
        MigrationError, match=r'^migrations/0002_drop_log\.sql: relation "_yoyo_log" does not exist; noth'
    ):
        folder.apply(url)


def test_lost_connection_names_its_cause(folder: Folder, url: str) -> None:
    folder.write("0001_create_a", "create table a ();\nselect pg_terminate_backend(pg_backend_pid());")

    with pytest.raises(MigrationError, match=r"^migrations/0001_create_a\.sql:2: terminating connection due to admin"):
        folder.apply(url)


def test_nontransactional_migration_stops_where_it_fails(folder: Folder, url: str) -> None:
    sql = "-- transactional: false\ncreate table a ();\ncreate index concurrently b on c (id);"
    folder.write("0001_create_a", sql, "drop table if exists b;\ndrop table a;")

    with pytest.raises(
        MigrationError, match=r':3: relation "c" does not exist; not all of this file has taken effect$'
    ):
        folder.apply(url)

    assert folder.states(url) == {"0001_create_a": "pending"}


def test_invalid_index_is_not_accepted(folder: Folder, url: str) -> None:
    folder.write("0001_create_a", "create table a as select 1 as id from generate_series(1, 2);")
    folder.apply(url)
    with psycopg.connect(url, autocommit=True) as other, pytest.raises(psycopg.errors.UniqueViolation):
        other.execute("create unique index concurrently a_id on a (id)")
    sql = "-- transactional: false\ncreate unique index concurrently if not exists a_id on a (id);"
    folder.write("0002_index_a", sql, "drop index concurrently a_id;")

    with pytest.raises(MigrationError, match=r"^migrations/0002_index_a\.sql: index a_id is invalid"):
        folder.apply(url)

    assert folder.states(url)["0002_index_a"] == "pending"


def test_dropped_invalid_index_is_rebuilt(folder: Folder, url: str) -> None:
    folder.write("0001_create_a", "create table a as select 1 as id from generate_series(1, 2);")
    sql = "drop index concurrently if exists a_id;\ncreate unique index concurrently a_id on a (id);"
    folder.write("0002_index_a", f"-- transactional: false\n{sql}", "select;")
    with pytest.raises(
        MigrationError, match=r'^migrations/0002_index_a\.sql:3: could not create unique index "a_id"; not'
    ):
        folder.apply(url)
    with psycopg.connect(url) as other:
        other.execute("truncate a")

    assert folder.apply(url) == ["0002_index_a"]
    assert value(url, "select indisvalid from pg_index where indexrelid = 'a_id'::regclass")


def test_role_without_create_is_refused(folder: Folder, server: EmbeddedPostgres, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create role powerless login")
    try:
        with pytest.raises(MigrationError, match=r"^PostgreSQL says: permission denied for schema public$"):
            folder.apply(url.replace(f"{server.user}@", "powerless@"))
    finally:
        with psycopg.connect(url) as connection:
            connection.execute("drop role powerless")


def test_read_only_server_is_refused(folder: Folder, url: str) -> None:
    with pytest.raises(MigrationError, match=r"^DATABASE_URL leads to no writable PostgreSQL: .* read-only"):
        folder.apply(f"{url}&default_transaction_read_only=on")


@pytest.mark.slow
def test_silent_host_times_out_on_connect(folder: Folder) -> None:
    """The timeout is the URL's, which is shorter than the default."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()

        with pytest.raises(
            MigrationError, match=r"^DATABASE_URL leads to no writable PostgreSQL: connection timeout expired$"
        ):
            folder.apply(f"postgresql://127.0.0.1:{silent.getsockname()[1]}/db?connect_timeout=2")

    assert time.monotonic() - begun < CONNECT_TIMEOUT


def test_invalid_url_is_refused(folder: Folder) -> None:
    with pytest.raises(MigrationError, match=r"^DATABASE_URL must look like postgresql://"):
        folder.apply("mysql://127.0.0.1/db")
