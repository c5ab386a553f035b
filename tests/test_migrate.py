"""Migrations on real databases, by real processes, some of which are killed."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.dev.embedded import EmbeddedPostgres
from service.migrate import MIGRATIONS, Limits, MigrationError, apply, rollback, status
from service.migration_backend import LOCK_KEY

HASTY = Limits(lock_timeout=0.1, attempts=3)
PROGRAM = """
import sys
from pathlib import Path
from service.migrate import Limits, apply
apply(sys.argv[1], Path(sys.argv[2]), report=print, limits=Limits(lock_timeout=30))
"""
Start = Callable[[str], subprocess.Popen[str]]


class Folder:
    """A folder of migrations, and the reports about it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.mkdir()
        self.reports: list[str] = []

    def write(self, name: str, sql: str, undo: str = "drop table a;") -> None:
        """Write a migration and its rollback."""
        (self.path / f"{name}.sql").write_text(sql)
        (self.path / f"{name}.rollback.sql").write_text(undo)

    def delete(self, name: str) -> None:
        (self.path / f"{name}.sql").unlink()
        (self.path / f"{name}.rollback.sql").unlink()

    def apply(self, url: str, limits: Limits = HASTY) -> list[str]:
        return apply(url, self.path, report=self.reports.append, limits=limits)

    def rollback(self, url: str, limits: Limits = HASTY, count: int = 1) -> list[str]:
        return rollback(url, self.path, count=count, report=self.reports.append, limits=limits)

    def states(self, url: str) -> dict[str, str]:
        return {each.id: each.state for each in status(url, self.path)}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a folder with one migration, which creates the table a."""
    folder = Folder(tmp_path / "migrations")
    folder.write("0001_create_a", "create table a (id integer);")
    return folder


@pytest.fixture
def url(empty_database_url: str) -> str:
    return empty_database_url


@pytest.fixture
def start(url: str) -> Iterator[Start]:
    """Start `apply` in a process of its own; what still runs at the end is killed."""
    processes = []

    def start(directory: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-uc", PROGRAM, url, directory]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=MIGRATIONS.parent))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def value(url: str, sql: str) -> Any:  # noqa: ANN401 - whatever PostgreSQL returns
    """Return the one value of a query."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(sql).fetchone()
        assert row is not None
        return row[0]


def until(url: str, condition: str) -> None:
    """Wait until PostgreSQL says that `condition` is so."""
    deadline = time.monotonic() + 10
    while not value(url, f"select {condition}"):
        assert time.monotonic() < deadline, f"never came true: {condition}"
        time.sleep(0.02)


def schema(server: EmbeddedPostgres, url: str) -> str:
    """Return what pg_dump says, but for its random key."""
    dump = subprocess.run(
        [server.binaries / "pg_dump", "--schema-only", url], capture_output=True, text=True, check=True
    )
    return re.sub(r"(?m)^\\(un)?restrict .*$", "", dump.stdout)


def test_up_down_and_up_again_gives_the_same_schema(server: EmbeddedPostgres, url: str) -> None:
    up = apply(url, report=print)
    first = schema(server, url)
    down = rollback(url, count=len(up), report=print)
    empty = schema(server, url)
    again = apply(url, report=print)

    assert up == again == down[::-1] == [path.stem for path in sorted(MIGRATIONS.glob("*[!k].sql"))]
    assert "CREATE TABLE public.pets" in first
    assert re.findall(r"CREATE (\w+ \S+)", empty) == [
        f"TABLE public.{name}" for name in ("_yoyo_log", "_yoyo_migration", "_yoyo_version", "migration_checksum")
    ]
    assert schema(server, url) == first


def test_a_run_reports_what_it_does(folder: Folder, url: str) -> None:
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


def test_what_is_applied_is_not_applied_again(folder: Folder, url: str) -> None:
    folder.apply(url)

    assert folder.apply(url) == []
    assert folder.reports[-1] == "to apply: nothing"


def test_nothing_applied_means_nothing_to_roll_back(folder: Folder, url: str) -> None:
    assert folder.rollback(url) == []
    assert folder.reports == ["to roll back: nothing"]


def test_a_run_provokes_no_error_in_the_log_of_postgresql(folder: Folder, server: EmbeddedPostgres, url: str) -> None:
    folder.apply(url)
    folder.rollback(url)

    name = url.rpartition("/test_")[2].partition("?")[0]
    counts = f"from pg_stat_database where datname = 'test_{name}'"
    until(server.url("postgres"), f"xact_commit > 10 {counts}")
    assert value(server.url("postgres"), f"select xact_rollback {counts}") == 0


def test_the_log_names_the_role_and_the_host(folder: Folder, url: str) -> None:
    folder.apply(url)
    folder.rollback(url)

    log = (
        "select string_agg(concat_ws(' ', operation, username, hostname), ', ' order by created_at_utc) from _yoyo_log"
    )
    host = socket.gethostname()
    assert value(url, log) == f"apply postgres {host}, rollback postgres {host}"


def test_status_tells_applied_pending_edited_and_unknown_and_changes_nothing(folder: Folder, url: str) -> None:
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


def test_an_edited_migration_is_refused_and_nothing_applied(folder: Folder, url: str) -> None:
    folder.apply(url)
    folder.write("0001_create_a", "create table a (id bigint);")
    folder.write("0002_create_b", "create table b ();")

    with pytest.raises(
        MigrationError, match=r"^migrations/0001_create_a\.sql was edited after it was applied: put the"
    ):
        folder.apply(url)

    assert folder.states(url)["0002_create_b"] == "pending"


def test_an_edited_migration_can_be_rolled_back_and_applied_again(folder: Folder, url: str) -> None:
    folder.apply(url)
    folder.write("0001_create_a", "create table a (id bigint);")

    folder.rollback(url)
    folder.apply(url)

    assert folder.states(url) == {"0001_create_a": "applied"}
    assert value(url, "select pg_typeof(max(id))::text from a") == "bigint"


def test_a_database_ahead_of_the_code_is_left_alone(folder: Folder, url: str) -> None:
    folder.write("0002_create_b", "create table b ();")
    folder.apply(url)
    folder.delete("0002_create_b")

    assert folder.apply(url) == []
    assert "the database is ahead of this code by 0002_create_b; left as it is" in folder.reports
    with pytest.raises(
        MigrationError, match=r"^0002_create_b is applied, but not in this code: roll back with the code"
    ):
        folder.rollback(url)


def test_a_database_that_plain_yoyo_migrated_is_taken_over(folder: Folder, url: str) -> None:
    folder.apply(url)
    with psycopg.connect(url) as connection:
        connection.execute("drop table migration_checksum")
    assert folder.states(url) == {"0001_create_a": "applied"}

    folder.apply(url)

    assert "0001_create_a was applied before checksums were kept; took that of its file" in folder.reports
    folder.write("0001_create_a", "create table a (id bigint);")
    assert folder.states(url) == {"0001_create_a": "edited"}


def test_each_migration_begins_with_the_same_settings(folder: Folder, url: str) -> None:
    folder.write("0001_create_a", "set lock_timeout = 0; set statement_timeout = 0; set search_path = pg_catalog;")
    show = "current_setting('statement_timeout'), current_setting('lock_timeout'), current_schema"
    folder.write("0002_create_b", f"create table b as select concat_ws(' ', {show}) as settings;")

    folder.apply(url, Limits())

    assert value(url, "select settings from b") == "15min 3s public"


def test_a_busy_table_is_tried_again_until_it_is_free(folder: Folder, url: str) -> None:
    folder.apply(url)
    folder.write("0002_alter_a", "alter table a add x integer;")
    with psycopg.connect(url) as other:
        other.execute("select from a")

        def report(line: str) -> None:
            folder.reports.append(line)
            if "attempt 2 of 3" in line:
                other.rollback()

        assert apply(url, folder.path, report=report, limits=HASTY) == ["0002_alter_a"]

    assert [line for line in folder.reports if "attempt" in line] == [
        f"0002_alter_a: canceling statement due to lock timeout; attempt {number} of 3, the next in 0.1 s"
        for number in (1, 2)
    ]


def test_a_table_that_stays_busy_ends_the_run_with_advice(folder: Folder, url: str) -> None:
    folder.apply(url)
    folder.write("0002_alter_a", "create table b ();\nalter table a add x integer;")
    with psycopg.connect(url) as other:
        other.execute("select from a")

        with pytest.raises(MigrationError) as refusal:
            folder.apply(url)

    assert str(refusal.value) == (
        "migrations/0002_alter_a.sql:2: canceling statement due to lock timeout; "
        "nothing of this file has taken effect; see in pg_stat_activity who holds the lock, and run this again"
    )
    assert value(url, "select to_regclass('b')") is None


def test_a_deadlock_with_the_traffic_is_tried_again(folder: Folder, url: str) -> None:
    folder.write("0001_create_a", "create table a (); create table b ();")
    folder.apply(url)
    folder.write("0002_alter_a", "alter table a add x integer; alter table b add x integer;")
    with psycopg.connect(url) as other, ThreadPoolExecutor() as threads:
        other.execute("set deadlock_timeout = '1min'")  # so that it is the migration that gives way
        other.execute("select from b")
        applied = threads.submit(folder.apply, f"{url}&deadlock_timeout=500ms", Limits(lock_timeout=1))
        until(url, "exists (select from pg_locks where relation = 'b'::regclass and not granted)")
        other.execute("select from a")
        other.rollback()

        assert applied.result() == ["0002_alter_a"]

    assert "0002_alter_a: deadlock detected" in folder.reports[-2]


def test_five_processes_at_once_all_succeed_and_apply_once(folder: Folder, start: Start) -> None:
    folder.write("0001_create_a", "create table a (id integer); do $$ begin perform pg_sleep(1); end $$;")
    folder.write("0002_index_a", "-- transactional: false\ncreate index concurrently a_id on a (id);")

    processes = [start(str(folder.path)) for _ in range(5)]
    outputs = [process.communicate(timeout=30)[0] for process in processes]

    assert [process.returncode for process in processes] == [0] * 5
    assert sorted("applied 0001_create_a" in output for output in outputs) == [False] * 4 + [True]
    assert sorted("to apply: nothing" in output for output in outputs) == [False] + [True] * 4
    assert "another migration is running (PostgreSQL process " in "".join(outputs)


def test_a_run_that_waits_too_long_names_the_one_that_it_waits_for(folder: Folder, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", [LOCK_KEY])
        pid = other.info.backend_pid

        with pytest.raises(MigrationError, match=rf"^another migration did not end within 0\.3 s: .* process {pid} "):
            folder.apply(url, Limits(queue=0.3))

    assert folder.reports == [f"another migration is running (PostgreSQL process {pid}); waiting"]


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_killed_in_a_statement_does_not_stop_the_next(
    folder: Folder, url: str, start: Start, blow: signal.Signals
) -> None:
    folder.write("0001_create_a", "create table a ();\nselect pg_advisory_xact_lock(7);", "drop table a;")
    with psycopg.connect(url) as other:
        other.execute("select pg_advisory_xact_lock(7)")
        process = start(str(folder.path))
        until(url, "exists (select from pg_locks where locktype = 'advisory' and objid = 7 and not granted)")
        os.kill(process.pid, blow)
        process.wait()
        # Though its statement could wait for ever, PostgreSQL ends it.
        until(url, "not exists (select from pg_stat_activity where application_name = 'service migrate')")

    assert folder.apply(url) == ["0001_create_a"]


def test_a_run_killed_between_applying_and_marking_does_not_stop_the_next(
    folder: Folder, url: str, start: Start
) -> None:
    folder.write("0002_create_b", "create table b ();")
    folder.apply(url)
    folder.write("0003_create_c", "create table c ();")
    with psycopg.connect(url) as other:
        other.execute("lock table _yoyo_migration in share mode")
        process = start(str(folder.path))
        until(url, "exists (select from pg_locks where relation = '_yoyo_migration'::regclass and not granted)")
        process.kill()
        process.wait()

    assert folder.apply(url) == ["0003_create_c"]


def test_a_row_left_in_the_lock_table_of_yoyo_is_ignored(folder: Folder, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "create table yoyo_lock (locked int default 1 primary key, ctime timestamp, pid int not null)"
        )
        connection.execute("insert into yoyo_lock values (1, now(), 4711)")

    assert folder.apply(url) == ["0001_create_a"]


def test_an_error_names_file_line_and_hint(folder: Folder, url: str) -> None:
    folder.apply(url)
    folder.write("0002_fill_a", "-- Why\n\ncreate table b ();\n-- é\ninsert into a\nselect 1 as one\nwhere idd = 1;")

    with pytest.raises(MigrationError) as refusal:
        folder.apply(url)

    assert str(refusal.value) == (
        'migrations/0002_fill_a.sql:7: column "idd" does not exist '
        '(Perhaps you meant to reference the column "a.id".); nothing of this file has taken effect'
    )
    assert folder.states(url)["0002_fill_a"] == "pending"
    assert value(url, "select to_regclass('b')") is None


def test_an_error_without_a_position_names_the_line_of_its_statement(folder: Folder, url: str) -> None:
    folder.write(
        "0001_create_a", "create table a ();\n\ndo $$\nbegin\n    raise 'too late' using hint = 'sooner';\nend $$;"
    )

    with pytest.raises(MigrationError, match=r"^migrations/0001_create_a\.sql:3: too late \(sooner\); nothing of this"):
        folder.apply(url)


def test_an_error_shows_no_row(folder: Folder, url: str) -> None:
    folder.write(
        "0001_create_a",
        "create table a (hash text, email text not null);\ninsert into a values ('secret', null);",
    )

    with pytest.raises(MigrationError) as refusal:
        folder.apply(url)

    assert "secret" not in str(refusal.value)


def test_an_error_in_a_rollback_names_its_file(folder: Folder, url: str) -> None:
    folder.write("0001_create_a", "create table a ();", "drop table a;\ndrop table b;")
    folder.apply(url)

    with pytest.raises(
        MigrationError, match=r'^migrations/0001_create_a\.rollback\.sql:2: table "b" does not exist; no'
    ):
        folder.rollback(url)

    assert folder.states(url) == {"0001_create_a": "applied"}


def test_an_error_of_the_marking_names_the_file_without_a_line(folder: Folder, url: str) -> None:
    folder.apply(url)
    folder.write("0002_drop_log", "drop table _yoyo_log;")

    with pytest.raises(
        MigrationError, match=r'^migrations/0002_drop_log\.sql: relation "_yoyo_log" does not exist; noth'
    ):
        folder.apply(url)


def test_a_lost_connection_is_told_by_what_cut_it(folder: Folder, url: str) -> None:
    folder.write("0001_create_a", "create table a ();\nselect pg_terminate_backend(pg_backend_pid());")

    with pytest.raises(MigrationError, match=r"^migrations/0001_create_a\.sql:2: terminating connection due to admin"):
        folder.apply(url)


def test_a_migration_that_is_not_transactional_stops_where_it_fails(folder: Folder, url: str) -> None:
    sql = "-- transactional: false\ncreate table a ();\ncreate index concurrently b on c (id);"
    folder.write("0001_create_a", sql, "drop table if exists b;\ndrop table a;")

    with pytest.raises(
        MigrationError, match=r':3: relation "c" does not exist; not all of this file has taken effect$'
    ):
        folder.apply(url)

    assert folder.states(url) == {"0001_create_a": "pending"}


def test_an_invalid_index_is_not_taken_for_a_built_one(folder: Folder, url: str) -> None:
    folder.write("0001_create_a", "create table a as select 1 as id from generate_series(1, 2);")
    folder.apply(url)
    with psycopg.connect(url, autocommit=True) as other, pytest.raises(psycopg.errors.UniqueViolation):
        other.execute("create unique index concurrently a_id on a (id)")
    sql = "-- transactional: false\ncreate unique index concurrently if not exists a_id on a (id);"
    folder.write("0002_index_a", sql, "drop index concurrently a_id;")

    with pytest.raises(MigrationError, match=r"^migrations/0002_index_a\.sql: index a_id is invalid"):
        folder.apply(url)

    assert folder.states(url)["0002_index_a"] == "pending"


def test_an_invalid_index_that_is_dropped_first_is_built_anew(folder: Folder, url: str) -> None:
    folder.write("0001_create_a", "create table a as select 1 as id from generate_series(1, 2);")
    sql = "-- transactional: false\ndrop index concurrently if exists a_id;\ncreate unique index concurrently a_id on a (id);"
    folder.write("0002_index_a", sql, "select;")
    with pytest.raises(
        MigrationError, match=r'^migrations/0002_index_a\.sql:3: could not create unique index "a_id"; not'
    ):
        folder.apply(url)
    with psycopg.connect(url) as other:
        other.execute("truncate a")

    assert folder.apply(url) == ["0002_index_a"]
    assert value(url, "select indisvalid from pg_index where indexrelid = 'a_id'::regclass")


def test_a_role_that_may_not_create_tables_is_refused(folder: Folder, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create role powerless login")
    try:
        with pytest.raises(MigrationError, match=r"^PostgreSQL says: permission denied for schema public$"):
            folder.apply(url.replace("postgres@", "powerless@"))
    finally:
        with psycopg.connect(url) as connection:
            connection.execute("drop role powerless")


def test_a_read_only_server_is_refused(folder: Folder, url: str) -> None:
    with pytest.raises(
        MigrationError, match=r"^DATABASE_URL leads to no PostgreSQL that can be written to: .* read-only"
    ):
        folder.apply(f"{url}&default_transaction_read_only=on")


def test_a_silent_host_is_given_up_within_the_connect_timeout(folder: Folder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()

        with pytest.raises(
            MigrationError, match=r"^DATABASE_URL leads to no PostgreSQL .*: connection timeout expired$"
        ):
            folder.apply(f"postgresql://127.0.0.1:{silent.getsockname()[1]}/db?connect_timeout=2")

    assert time.monotonic() - begun < 3


def test_a_senseless_url_is_refused(folder: Folder) -> None:
    with pytest.raises(MigrationError, match=r"^DATABASE_URL must look like postgresql://"):
        folder.apply("mysql://127.0.0.1/db")
