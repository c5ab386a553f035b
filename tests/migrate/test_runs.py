"""Concurrent, blocked and killed runs, with real processes."""

import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from service.migrate import MigrationError
from service.migrate.backend import LOCK_KEY
from service.migrate.runner import Limits, apply
from tests.support.migration_folder import HASTY, RUNS, Folder, until, value

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

Start = Callable[[], subprocess.Popen[str]]


def test_busy_table_is_retried_until_free(folder: Folder, url: str) -> None:
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


def test_busy_table_error_has_advice(folder: Folder, url: str) -> None:
    folder.apply(url)
    folder.write("0002_alter_a", "create table b ();\nalter table a add x integer;")
    with psycopg.connect(url) as other:
        other.execute("select from a")

        with pytest.raises(MigrationError) as refusal:
            folder.apply(url)

    assert str(refusal.value) == (
        "migrations/0002_alter_a.sql:2: canceling statement due to lock timeout; "
        "nothing in this file has taken effect; "
        "look in pg_stat_activity for the session that holds the lock, then run this again"
    )
    assert value(url, "select to_regclass('b')") is None


def test_deadlock_with_traffic_is_retried(folder: Folder, url: str) -> None:
    folder.write("0001_create_a", "create table a (); create table b ();")
    folder.apply(url)
    folder.write("0002_alter_a", "alter table a add x integer; alter table b add x integer;")
    with psycopg.connect(url) as other, ThreadPoolExecutor() as threads:
        other.execute("set deadlock_timeout = '1min'")  # so that it is the migration that gives way
        other.execute("select from b")
        applied = threads.submit(folder.apply, f"{url}&deadlock_timeout=500ms", Limits(lock_timeout=1))
        until(url, f"exists ({RUNS} and wait_event_type = 'Lock')")
        other.execute("select from a")
        other.rollback()

        assert applied.result() == ["0002_alter_a"]

    assert "0002_alter_a: deadlock detected" in folder.reports[-2]


def test_five_concurrent_runs_apply_once(folder: Folder, start: Start) -> None:
    folder.write("0001_create_a", "create table a (id integer); do $$ begin perform pg_sleep(1); end $$;")
    folder.write("0002_index_a", "-- transactional: false\ncreate index concurrently a_id on a (id);")

    processes = [start() for _ in range(5)]
    outputs = [process.communicate(timeout=30)[0] for process in processes]

    assert [process.returncode for process in processes] == [0] * 5
    assert sorted("applied 0001_create_a" in output for output in outputs) == [False] * 4 + [True]
    assert sorted("to apply: nothing" in output for output in outputs) == [False] + [True] * 4
    assert "another migration is running (PostgreSQL process " in "".join(outputs)


def test_long_wait_names_the_blocking_process(folder: Folder, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", [LOCK_KEY])
        pid = other.info.backend_pid

        with pytest.raises(MigrationError, match=rf"^another migration did not end within 0\.3 s: .* process {pid} "):
            folder.apply(url, Limits(other_run=0.3))

    assert folder.reports == [f"another migration is running (PostgreSQL process {pid}); waiting"]


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_run_killed_mid_statement_does_not_block_the_next(
    folder: Folder, url: str, start: Start, blow: signal.Signals
) -> None:
    folder.write("0001_create_a", "create table a ();\nselect pg_advisory_xact_lock(7);", "drop table a;")
    with psycopg.connect(url) as other:
        other.execute("select pg_advisory_xact_lock(7)")
        process = start()
        until(url, f"exists ({RUNS} and wait_event_type = 'Lock')")
        process.send_signal(blow)
        process.wait()
        # Its statement could wait forever, but PostgreSQL ends it.
        until(url, f"not exists ({RUNS})")

    assert folder.apply(url) == ["0001_create_a"]


def test_run_killed_before_marking_does_not_block_the_next(folder: Folder, url: str, start: Start) -> None:
    folder.write("0002_create_b", "create table b ();")
    folder.apply(url)
    folder.write("0003_create_c", "create table c ();")
    with psycopg.connect(url) as other:
        other.execute("lock table _yoyo_migration in share mode")
        process = start()
        until(url, f"exists ({RUNS} and wait_event_type = 'Lock')")
        process.kill()
        process.wait()

    assert folder.apply(url) == ["0003_create_c"]


def test_stale_row_in_yoyos_lock_table_is_ignored(folder: Folder, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "create table yoyo_lock (locked int default 1 primary key, ctime timestamp, pid int not null)"
        )
        connection.execute("insert into yoyo_lock values (1, now(), 4711)")

    assert folder.apply(url) == ["0001_create_a"]
