"""Applying, rolling back and applying again; the state of each migration."""

import re
import socket
import subprocess
import time

import psycopg
import pytest

from service.embedded import EmbeddedPostgres
from service.migrate import MIGRATIONS, MigrationError
from service.migrate.runner import Limits, apply, rollback, status
from tests.support.migration_folder import Folder, until, value


def schema(server: EmbeddedPostgres, url: str) -> str:
    """Return pg_dump's output without its random key."""
    dump = subprocess.run(
        [server.binaries / "pg_dump", "--schema-only", url], capture_output=True, text=True, check=True
    )
    return re.sub(r"(?m)^\\(un)?restrict .*$", "", dump.stdout)


@pytest.mark.slow
def test_up_down_up_gives_the_same_schema(server: EmbeddedPostgres, url: str) -> None:
    up = apply(url, report=print)
    first = schema(server, url)
    down = rollback(url, count=len(up), report=print)
    empty = schema(server, url)
    again = apply(url, report=print)

    assert up == again == down[::-1] == [path.stem for path in sorted(MIGRATIONS.glob("*[!k].sql"))]
    assert "CREATE TABLE public.user_model" in first
    assert re.findall(r"CREATE (\w+ \S+)", empty) == [
        f"TABLE public.{name}" for name in ("_yoyo_log", "_yoyo_migration", "_yoyo_version", "migration_checksum")
    ]
    assert schema(server, url) == first


def test_run_reports_what_it_does(folder: Folder, url: str) -> None:
    folder.write("0002_create_b", "-- depends: 0001_create_a\ncreate table b ();", "drop table b;")

    assert folder.apply(url) == ["0001_create_a", "0002_create_b"]
    assert folder.rollback(url) == ["0002_create_b"]
    assert [re.sub(r"\d\.\d\d s", "… s", line) for line in folder.reports] == [
        "to apply: 0001_create_a, 0002_create_b",
        "applied 0001_create_a (… s)",
        "applied 0002_create_b (… s)",
        "to roll back: 0002_create_b",
        "rolled back 0002_create_b (… s)",
    ]


def test_applied_migration_is_not_repeated(folder: Folder, url: str) -> None:
    folder.apply(url)

    assert folder.apply(url) == []
    assert folder.reports[-1] == "to apply: nothing"


def test_empty_database_has_nothing_to_roll_back(folder: Folder, url: str) -> None:
    assert folder.rollback(url) == []
    assert folder.reports == ["to roll back: nothing"]


def test_run_causes_no_error_in_postgresqls_log(folder: Folder, server: EmbeddedPostgres, url: str) -> None:
    folder.apply(url)
    folder.rollback(url)

    counts = f"from pg_stat_database where datname = '{value(url, 'select current_database()')}'"
    until(server.url("postgres"), f"xact_commit > 10 {counts}")
    assert value(server.url("postgres"), f"select xact_rollback {counts}") == 0


def test_log_names_role_and_host(folder: Folder, server: EmbeddedPostgres, url: str) -> None:
    folder.apply(url)
    folder.rollback(url)

    log = (
        "select string_agg(concat_ws(' ', operation, username, hostname), ', ' order by created_at_utc) from _yoyo_log"
    )
    host = socket.gethostname()
    assert value(url, log) == f"apply {server.user} {host}, rollback {server.user} {host}"


def test_status_shows_each_state_and_changes_nothing(folder: Folder, url: str) -> None:
    folder.write("0002_create_b", "create table b ();")
    folder.write("0003_create_c", "create table c ();")
    assert folder.states(url) == dict.fromkeys(["0001_create_a", "0002_create_b", "0003_create_c"], "pending")
    assert value(url, "select count(*) from pg_class where relnamespace = 'public'::regnamespace") == 0

    folder.apply(url)
    folder.write("0002_create_b", "create table b (id integer);")
    folder.delete("0003_create_c")
    folder.write("0004_create_d", "create table d ();")

    assert folder.states(url) == {
        "0001_create_a": "applied",
        "0002_create_b": "edited",
        "0004_create_d": "pending",
        "0003_create_c": "unknown",
    }
    assert abs(status(url, folder.path)[0].applied_at.timestamp() - time.time()) < 60  # type: ignore[union-attr]  # applied


def test_edited_migration_stops_the_run(folder: Folder, url: str) -> None:
    folder.apply(url)
    folder.write("0001_create_a", "create table a (id bigint);")
    folder.write("0002_create_b", "create table b ();")

    with pytest.raises(
        MigrationError, match=r"^migrations/0001_create_a\.sql was edited after it was applied: restore it, "
    ):
        folder.apply(url)

    assert folder.states(url)["0002_create_b"] == "pending"


def test_edited_migration_can_be_rolled_back_and_reapplied(folder: Folder, url: str) -> None:
    folder.apply(url)
    folder.write("0001_create_a", "create table a (id bigint);")

    folder.rollback(url)
    folder.apply(url)

    assert folder.states(url) == {"0001_create_a": "applied"}
    assert value(url, "select pg_typeof(max(id))::text from a") == "bigint"


def test_database_ahead_of_the_code_is_left_alone(folder: Folder, url: str) -> None:
    folder.write("0002_create_b", "create table b ();")
    folder.apply(url)
    folder.delete("0002_create_b")

    assert folder.apply(url) == []
    assert "the database is ahead of this code by 0002_create_b; left as it is" in folder.reports
    with pytest.raises(
        MigrationError, match=r"^0002_create_b is applied, but not in this code: roll back with a release"
    ):
        folder.rollback(url)


def test_database_migrated_by_plain_yoyo_is_adopted(folder: Folder, url: str) -> None:
    folder.apply(url)
    with psycopg.connect(url) as connection:
        connection.execute("drop table migration_checksum")
    assert folder.states(url) == {"0001_create_a": "applied"}

    folder.apply(url)

    assert "0001_create_a was applied before checksums were kept; recorded its file's checksum" in folder.reports
    folder.write("0001_create_a", "create table a (id bigint);")
    assert folder.states(url) == {"0001_create_a": "edited"}


def test_each_migration_starts_with_the_same_settings(folder: Folder, url: str) -> None:
    changes = "set statement_timeout = 0; set lock_timeout = 0; set search_path = ''; set check_function_bodies = off;"
    folder.write("0001_change_settings", changes)
    names = ("statement_timeout", "lock_timeout", "search_path", "check_function_bodies")
    settings = ", ".join(f"current_setting('{name}')" for name in names)
    folder.write("0002_create_b", f"create table b as select array[{settings}] as settings;")

    folder.apply(url, Limits())

    assert value(url, "select settings from b") == ["15min", "3s", '"$user", public', "on"]


@pytest.mark.slow
def test_only_statements_in_a_transaction_have_a_time_limit(folder: Folder, url: str) -> None:
    """An index of a large table takes long, and each attempt would start again."""
    limits = Limits(statement_timeout=0.2)
    folder.write("0002_index_a", "-- transactional: false\nselect pg_sleep(0.5);", "select pg_sleep(0.5);")
    assert folder.apply(url, limits) == ["0001_create_a", "0002_index_a"]
    folder.write("0003_create_b", "select pg_sleep(0.5);")

    with pytest.raises(MigrationError, match="canceling statement due to statement timeout"):
        folder.apply(url, limits)

    assert rollback(url, folder.path, report=print, limits=limits) == ["0002_index_a"]
