"""The command `sql book`."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from service.sqlbook import gathering
from service.sqlcheck.scratch import connect
from tests.support.book import dead_links
from tests.support.checkouts import Copy
from tests.support.git import commit
from tests.support.processes import PATIENCE, ROOT, command, environment
from tests.support.sqlcheck import invoke

DOC = ROOT / "docs/book.md"


@pytest.mark.slow
def test_checkouts_book_has_no_findings_or_dead_links(tmp_path: Path, own_database_url: str) -> None:
    done = invoke("book", "--out", str(tmp_path / "book"), "--database-url", own_database_url)

    pages = len(list((tmp_path / "book").glob("*.html")))
    assert done.output == f"{pages} pages, no findings: open {tmp_path}/book/index.html\n"
    assert done.exit_code == 0
    assert dead_links(tmp_path / "book") == []


@pytest.mark.slow
def test_book_counts_its_findings(small_tree: Path, tmp_path: Path, own_database_url: str) -> None:
    arguments = ("--directory", str(small_tree), "--out", str(tmp_path), "--database-url", own_database_url)

    done = invoke("book", *arguments)

    assert done.stdout.startswith("17 pages, ")
    assert "findings: open" in done.stdout
    assert "no findings" not in done.stdout


@pytest.mark.slow
def test_role_that_cannot_create_roles_suffices(small_tree: Path, tmp_path: Path, own_database_url: str) -> None:
    shutil.copytree(small_tree, tmp_path / "tree")
    (tmp_path / "tree/sql/roles.sql").write_text("grant select on shelves to pg_monitor; create role keeper;")
    arguments = ("--directory", str(tmp_path / "tree"), "--out", str(tmp_path / "book"), "--database-url")
    with connect(own_database_url) as connection:
        connection.execute("create role builder login createdb")
        try:
            invoke("book", *arguments, own_database_url.replace("postgres@", "builder@"))
        finally:
            connection.execute("drop role builder")

    assert "pg_monitor" not in (tmp_path / "book/grants.html").read_text()


@pytest.mark.slow
def test_sizes_are_measured_at_scale(tree: Copy, tmp_path: Path, own_database_url: str) -> None:
    tree.edit("sql/dev/scale.sql", "generate_series(1, 100000)", "generate_series(1, 200)")
    tree.edit("sql/dev/scale.sql", "user50000@", "user100@")
    tree.edit("sql/dev/scale.sql", "('generation', '1'),", "")
    arguments = ("--directory", str(tree.root), "--out", str(tmp_path), "--database-url", own_database_url, "--scale")

    invoke("book", *arguments)

    assert "2,000 rows" in (tmp_path / "table-kites.html").read_text()
    assert "measured: 10 rows" in (tmp_path / "query-kites.list_kites.html").read_text()
    assert "has no argument &#39;generation&#39;" in (tmp_path / "findings.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("line", re.findall(r"^python -m service (sql book.*)", DOC.read_text("utf-8"), re.MULTILINE))
def test_each_documented_command_works(
    line: str, small_tree: Path, tmp_path: Path, own_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(small_tree, tree)
    commit(tree)
    monkeypatch.chdir(tmp_path)

    arguments = shlex.split(line, comments=True)[1:]
    done = invoke(*arguments, "--directory", str(tree), "--database-url", own_database_url)

    assert done.exit_code == 0
    assert done.stdout.startswith(("17 pages, ", "# What has changed for the database since `main`"))
    assert (tmp_path / "book/index.html").exists() != ("--since" in arguments)


def test_foreign_folder_is_refused_in_one_sentence(small_tree: Path, tmp_path: Path, own_database_url: str) -> None:
    (tmp_path / "index.html").write_text("mine")
    arguments = ("--directory", str(small_tree), "--out", str(tmp_path), "--database-url", own_database_url)

    done = invoke("book", *arguments)

    assert done.exit_code == 1
    assert done.stderr == (f"Error: {tmp_path}/index.html is not part of a book: choose another folder (--out DIR)\n")


def test_refused_migration_is_one_sentence(small_tree: Path, tmp_path: Path, own_database_url: str) -> None:
    shutil.copytree(small_tree, tmp_path, dirs_exist_ok=True)
    # yoyo's own table: an empty database accepts it, one with records of migrations does not.
    (tmp_path / "migrations/0001_create_shelves.sql").write_text("create table _yoyo_log (id int);")

    done = invoke("book", "--directory", str(tmp_path), "--database-url", own_database_url)

    assert done.exit_code == 1
    assert 'relation "_yoyo_log" already exists' in done.stderr


@pytest.mark.slow
def test_progress_is_shown_on_a_terminal(small_tree: Path, tmp_path: Path, own_database_url: str) -> None:
    terminal, end = os.openpty()
    arguments = ("--directory", str(small_tree), "--out", str(tmp_path), "--database-url", own_database_url)
    subprocess.run(
        command("sql", "book", *arguments),
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=end,
        check=True,
        timeout=PATIENCE * 3,
    )
    os.close(end)
    told = os.read(terminal, 100_000).decode()
    os.close(terminal)

    # A migration, and three queries twice.
    assert told.startswith("\r\033[K1 of 7: 0001_create_shelves\r\033[K2 of 7: ")
    assert told.endswith("\r\033[K")


def test_revision_without_git_is_empty(small_tree: Path, tree: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gathering._revision(tree.root) == ""  # noqa: SLF001 - a book of a folder without git takes seconds
    monkeypatch.setenv("PATH", "/nonexistent")
    assert gathering._revision(small_tree) == ""  # noqa: SLF001 - the same


@pytest.mark.slow
def test_refused_roles_file_is_named(small_tree: Path, tmp_path: Path, own_database_url: str) -> None:
    shutil.copytree(small_tree, tmp_path, dirs_exist_ok=True)
    (tmp_path / "sql/roles.sql").write_text("create rolle reader;")

    done = invoke("book", "--directory", str(tmp_path), "--database-url", own_database_url)

    assert done.stderr == 'Error: sql/roles.sql: PostgreSQL says: syntax error at or near "rolle"\n'
