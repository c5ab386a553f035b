"""Scratch databases on the server of a URL."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest

from service.embedded import EmbeddedPostgres
from service.sqlcheck.scratch import connect, scratch_database
from tests.support.processes import ROOT, environment, run, wait_until

# Tests of other workers drop databases, too.
WAITING = """
select 1 from pg_stat_activity
where query like 'drop database%%' and strpos(query, %s) > 0 and wait_event_type = 'Lock'
"""


@pytest.mark.parametrize("form", ["{}", "{}&dbname=postgres", "{}&database=postgres"])
def test_scratch_database_replaces_dbname(server: EmbeddedPostgres, form: str) -> None:
    with scratch_database(form.format(server.url("postgres"))) as url, connect(url) as connection:
        assert connection.info.dbname.startswith("service_check_")


@pytest.mark.slow
def test_tests_use_the_server_that_the_environment_names(server: EmbeddedPostgres, tmp_path: Path) -> None:
    test = tmp_path / "test_url.py"
    test.write_text(f"def test_url(database_url): assert '{server.socket_directory}' in database_url")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.support.databases", str(test)],
        cwd=ROOT,
        env=environment({"SCRATCH_DATABASE_URL": server.url("postgres")}),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_checks_use_the_server_that_the_environment_names() -> None:
    done = run("sql", "locks", settings={"SCRATCH_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"})

    assert "port 1 failed" in done.stderr


def test_catalogue_is_read_from_a_server_that_quotes_names(server: EmbeddedPostgres) -> None:
    with connect(f"{server.url('postgres')}&options=-cquote_all_identifiers%3Don") as connection:
        assert connection.execute("select 'pg_class'::regclass::text").fetchone() == ("pg_class",)


def test_interrupted_drop_leaves_no_database(server: EmbeddedPostgres) -> None:
    with connect(server.url("postgres")) as other, connect(server.url("postgres")) as watch, ExitStack() as scratch:
        url = scratch.enter_context(scratch_database(server.url("postgres")))
        with connect(url) as connection:
            name = connection.info.dbname
        other.execute("begin; lock pg_database in share mode")

        def interrupt() -> None:
            wait_until(lambda: watch.execute(WAITING, [name]).fetchone() is not None, "the drop waits")
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)  # the first statement is cancelled while it waits
            other.execute("rollback")

        interrupting = Thread(target=interrupt)
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            scratch.close()
        interrupting.join()

        assert watch.execute("select from pg_database where datname = %s", [name]).fetchall() == []
