"""`sql check` and `sql explain`, as they are run."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from service.postgres import query_names
from service.sqlcheck.scratch import connect
from tests.support.checkouts import CREATE_KITES, Copy
from tests.support.processes import PATIENCE, ROOT, command, environment, run
from tests.support.sqlcheck import invoke

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

KITES = "service/kites/controllers.py"
FIND_KITE = 31  # the line that names the query
DIFFERS = f"returns 'maybe VersionedKite', but {KITES}:{FIND_KITE} reads 'one VersionedKite'"
QUERIES = len(query_names())
MIGRATIONS = len(list((ROOT / "migrations").glob("*.rollback.sql")))


def test_checkout_has_no_findings() -> None:
    done = run("sql", "check")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{QUERIES} queries, {MIGRATIONS} migrations: no findings\n"


def test_finding_is_a_line_and_exit_status_1(tree: Copy, database_url: str) -> None:
    tree.edit(KITES, "kites.find_kite", "kites.find_cat")

    done = invoke("check", "--directory", str(tree.root), "--database-url", database_url)

    assert done.exit_code == 1
    assert done.stdout == (
        f"{KITES}:{FIND_KITE}: sql/kites/find_cat.sql does not exist [no-file]\n"
        "sql/kites/find_kite.sql:1: no code uses this query: remove the file, or use it [unused]\n"
        "2 findings: 1 no-file, 1 unused\n"
    )


def test_findings_are_printed_as_json(tree: Copy, database_url: str) -> None:
    tree.edit(KITES, 'maybe("kites.find_kite"', 'one("kites.find_kite"')

    done = invoke("check", "--json", "--directory", str(tree.root), "--database-url", database_url)

    assert json.loads(done.stdout) == [
        {"path": "sql/kites/find_kite.sql", "line": 5, "sentence": DIFFERS, "check": "returns"}
    ]


def test_findings_are_printed_for_github(tree: Copy, database_url: str) -> None:
    tree.edit(KITES, 'maybe("kites.find_kite"', 'one("kites.find_kite"')

    done = invoke("check", "--github", "--directory", str(tree.root), "--database-url", database_url)

    assert done.stdout == f"::error file=sql/kites/find_kite.sql,line=5,title=returns::{DIFFERS}\n"


def test_no_findings_are_an_empty_array(database_url: str) -> None:
    assert invoke("check", "--json", "--database-url", database_url).stdout == "[]\n"


def test_query_that_no_test_ran_is_found(tmp_path: Path, database_url: str) -> None:
    ran = tmp_path / "ran"
    ran.write_text("\n".join(name for name in query_names() if name != "users.show_me"))

    done = invoke("check", "--ran", str(ran), "--database-url", database_url)

    assert done.stdout == "sql/users/show_me.sql:1: no test runs this query [not-run]\n1 finding: 1 not-run\n"


def test_failing_migration_is_a_finding(tree: Copy, database_url: str) -> None:
    tree.write(f"migrations/{CREATE_KITES}.sql", "creat table kites ();")

    done = invoke("check", "--directory", str(tree.root), "--database-url", database_url)

    assert done.exit_code == 1
    assert done.stdout.startswith(f"migrations/{CREATE_KITES}.sql:1: syntax error")
    assert done.stdout.endswith("[migration]\n1 finding: 1 migration\n")


def test_check_reports_what_locks_reports(tree: Copy, database_url: str) -> None:
    sql = f"-- depends: {CREATE_KITES}\nlock table kites;\nalter table kites rename to dragons;"
    tree.write_migration("9999_change_kites", sql, "alter table dragons rename to kites;")
    options = ["--json", "--directory", str(tree.root), "--database-url", database_url]

    checked, locked = (json.loads(invoke(name, *options).stdout) for name in ("check", "locks"))

    assert [(finding["line"], finding["check"]) for finding in locked] == [(2, "lock-table"), (3, "squawk")]
    assert [finding for finding in checked if finding["path"] == "migrations/9999_change_kites.sql"] == locked


def test_scratch_databases_are_dropped(database_url: str) -> None:
    invoke("check", "--database-url", database_url)

    with connect(database_url) as connection:
        names = [name for (name,) in connection.execute("select datname from pg_database")]
    assert not [name for name in names if str(name).startswith(f"service_check_{os.getpid()}_")]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://nobody@/none?host=/nonexistent", "Error: PostgreSQL says: connection is bad"),
        ("mysql://localhost", "Error: The database's URL must look like postgresql://"),
    ],
)
def test_missing_database_is_one_sentence(url: str, sentence: str) -> None:
    done = invoke("check", "--database-url", url)

    assert done.exit_code == 1
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1


def test_invalid_python_is_one_sentence(tree: Copy) -> None:
    tree.write(KITES, "def")

    done = invoke("check", "--directory", str(tree.root))

    assert done.stderr == f"Error: {KITES}:1: Python cannot read this: invalid syntax\n"


def test_null_byte_in_python_is_one_sentence(tree: Copy) -> None:
    tree.write(KITES, "a\0")

    done = invoke("check", "--directory", str(tree.root))

    assert done.stderr == f"Error: {KITES}:1: Python cannot read this: it contains null bytes\n"


def test_file_that_cannot_be_read_is_one_sentence(tree: Copy, database_url: str) -> None:
    lost = tree.root / "service/pets/lost.py"
    lost.symlink_to("nowhere")
    try:
        done = invoke("check", "--directory", str(tree.root), "--database-url", database_url)
    finally:
        lost.unlink()

    assert (done.stderr, done.exit_code) == (f"Error: {lost}: No such file or directory\n", 1)


def test_missing_dev_requirements_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "pglast.py").write_text("raise ModuleNotFoundError(name='pglast')")

    done = run("sql", "check", settings={"PYTHONPATH": str(tmp_path)})

    assert done.stderr == (
        "Error: This needs pglast: install the dev requirements (pip install -r requirements-dev.txt)\n"
    )
    assert done.returncode == 1


def test_progress_is_shown_only_on_a_terminal(database_url: str) -> None:
    terminal, end = os.openpty()
    done = subprocess.run(
        command("sql", "check", "--database-url", database_url),
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=end,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    os.close(end)

    assert f"\r\033[K1 of {QUERIES}: auth." in os.read(terminal, 10_000).decode()
    assert done.stdout.endswith("no findings\n")
    os.close(terminal)


def test_explain_prints_the_plan_of_a_query(database_url: str) -> None:
    done = invoke("explain", "users.show_me", "--database-url", database_url)

    assert done.exit_code == 0
    assert done.stdout.startswith("users.show_me\nNested Loop")
    assert "Index Cond: (s.user_id = $2)" in done.stdout


def test_explain_prints_all_plans(database_url: str) -> None:
    done = invoke("explain", "--database-url", database_url)

    assert done.stdout.count("(cost=") >= QUERIES


def test_explain_refuses_an_unknown_query(database_url: str) -> None:
    done = invoke("explain", "users.show_you", "--database-url", database_url)

    assert done.stderr.startswith("Error: There is no readable query 'users.show_you'")
    assert done.exit_code == 1


@pytest.mark.parametrize(
    ("path", "text", "sentence"),
    [
        (f"migrations/{CREATE_KITES}.sql", "creat", f"Error: migrations/{CREATE_KITES}.sql:1: syntax error"),
        (
            "sql/users/show_me.sql",
            "-- users.show_me: x\n-- returns: count\nselect /* users.show_me */ 1 from dogs;\n",
            'Error: sql/users/show_me.sql:3: PostgreSQL says: relation "dogs" does not exist [refused]',
        ),
        (
            "sql/users/show_me.sql",
            "-- users.show_me: x\n-- returns: count\nselect /* users.show_me */ 1 from kites limit 1/0;\n",
            "Error: sql/users/show_me.sql:3: PostgreSQL says: division by zero [refused]",
        ),
    ],
)
def test_explain_shows_postgresqls_error(tree: Copy, database_url: str, path: str, text: str, sentence: str) -> None:
    tree.write(path, text)

    done = invoke("explain", "users.show_me", "--directory", str(tree.root), "--database-url", database_url)

    assert done.exit_code == 1
    assert done.stderr.startswith(sentence)


def test_explain_prints_the_other_plans_beside_an_error(tree: Copy) -> None:
    tree.write("sql/users/show_me.sql", "-- users.show_me: x\n-- returns: count\nselect /* users.show_me */ 1/0;\n")

    done = invoke("explain", "users.show_me", "kites.find_kite", "--directory", str(tree.root))

    assert "kites.find_kite\n" in done.stdout
    assert done.exit_code == 1


def test_explain_of_all_reports_unreadable_files(tree: Copy, database_url: str) -> None:
    tree.write("sql/users/show_me.sql", "select 1;\n")

    done = invoke("explain", "--directory", str(tree.root), "--database-url", database_url)

    assert done.stderr.startswith("Error: sql/users/show_me.sql:1: ")
    assert done.exit_code == 1


def test_lock_file_of_an_editor_is_no_module(tree: Copy, database_url: str) -> None:
    """Emacs makes a link to nowhere beside the file."""
    lock = tree.root / "service/pets/.#controllers.py"
    lock.symlink_to("ada@host.123:456")
    try:
        done = invoke("explain", "users.show_me", "--directory", str(tree.root), "--database-url", database_url)
    finally:
        lock.unlink()

    assert done.exit_code == 0
