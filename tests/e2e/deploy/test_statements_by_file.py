"""pg_stat_statements by SQL file: on Debian's PostgreSQL, which has the extension, with the service."""

import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import run as run_program

import psycopg
import pytest

from service.postgres.query_file import query_names, read_query
from tests.support.debian import BINARIES, POSTGRES, debian_postgres
from tests.support.first_session import run_black_box
from tests.support.processes import Running, run, serve_settings
from tests.support.programs import needs
from tests.support.review_files import FILES, review

pytestmark = [pytest.mark.slow, needs(POSTGRES)]
PRELOAD = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track_utility": "off"}
# asyncpg's own queries on a new connection, about unknown types, without JIT.
DRIVER = re.compile(r"current_setting\(\$1\) AS cur|set_config\(|typeinfo_tree")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a database after the black-box session."""
    with debian_postgres(PRELOAD) as url:
        with psycopg.connect(url) as connection:
            connection.execute("create extension pg_stat_statements")
        assert run("migrate", settings={"DATABASE_URL": url}).returncode == 0
        with Running("serve", tmp_path_factory.mktemp("served"), serve_settings(url), Path.cwd()) as served:
            served.wait_until_ready()
            with psycopg.connect(url) as connection:
                connection.execute("select pg_stat_statements_reset()")
            assert " passed" in run_black_box(served.url)
        yield url


def test_every_statement_carries_its_files_name(url: str) -> None:
    """Every statement except the driver's own."""
    with psycopg.connect(url) as connection:
        seen = connection.execute("select query from pg_stat_statements where query not like '%pg_stat_statements%'")
        texts = [text for (text,) in seen if not DRIVER.search(text)]

    unnamed = [text for text in texts if not any(f"/* {name} */" in text for name in query_names())]
    assert unnamed == []
    assert len(texts) >= 12, texts


def test_psql_shows_the_cost_of_each_file(url: str) -> None:
    shown = {row["name"]: row for row in review(BINARIES / "psql", url, "statements")}

    assert {"auth.open_session", "users.show_me", "users.reset_password"} < shown.keys()
    assert int(shown["users.register_user"]["calls"]) >= 10
    assert float(shown["users.register_user"]["total_ms"]) > 0
    assert all(re.fullmatch(r"\d+\.\d", row["blocks_a_call"]) for row in shown.values())


def test_most_expensive_statement_comes_first(url: str) -> None:
    totals = [float(row["total_ms"]) for row in review(BINARIES / "psql", url, "statements")]

    assert len(totals) >= 12
    assert totals == sorted(totals, reverse=True)


def test_each_name_is_one_row(url: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in ("select /* before.and_after */ 1", "select /* before.and_after */ 1, 2"):
            connection.execute(statement)

    [line] = [row for row in review(BINARIES / "psql", url, "statements") if row["name"] == "before.and_after"]
    assert line["calls"] == "2"


@pytest.mark.parametrize("name", FILES)
def test_debians_psql_runs_each_file(name: str, url: str) -> None:
    review(BINARIES / "psql", url, name)


@pytest.mark.parametrize("name", query_names())
def test_this_release_prepares_each_query(name: str, url: str) -> None:
    """The embedded PostgreSQL is the newest; this one is older."""
    statement = read_query(name)
    types = ", ".join(parameter.type for parameter in statement.parameters)

    prepare = f"prepare it{f' ({types})' if types else ''} as {statement.sql}"
    done = run_program([BINARIES / "psql", url, "-qc", prepare], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
