"""The stub with which mypy checks calls of queries."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.sqlcheck.findings import as_text
from tests.support.checkouts import Connection, Copy
from tests.support.processes import ROOT
from tests.support.sqlcheck import invoke

CALLS = """
from uuid import UUID
from service.postgres.database import Database
from service.kites.models import Kite, VersionedKite
from service.sql import count, many, maybe, value

FIND, LIST = maybe("kites.find_kite", VersionedKite), many("kites.list_kites", Kite)
OF_NO_FILE = maybe("kites.cat", Kite)

async def calls(db: Database, session: UUID, user: UUID) -> None:
    good = await db.maybe(FIND, session, user, 1)
    good.colour
    await db.maybe(FIND, session, user)
    await db.maybe(FIND, session, user, "1")
    await db.many(LIST, session, user, 0, 10, 10)
    await db.many(FIND, session, user, 1)
"""


@pytest.mark.slow
def test_mypy_finds_wrong_calls(tmp_path: Path, with_kites: Path) -> None:
    path = tmp_path / "calls.py"
    path.write_text(CALLS)

    cache = f"--cache-dir={tmp_path / 'cache'}"
    mypy = [sys.executable, "-m", "mypy", cache, "--strict", "--follow-imports=silent", "--no-error-summary", str(path)]
    done = subprocess.run(mypy, cwd=with_kites, capture_output=True, text=True, check=False)

    said = [line.removeprefix(f"{path}:") for line in done.stdout.splitlines() if "error:" in line or "Reveal" in line]
    assert [line.partition("  [")[0].partition('; expected "Many')[0] for line in said] == [
        '8: error: No overload variant of "maybe" matches argument types "str", "type[Kite]"',
        '12: error: Item "VersionedKite" of "VersionedKite | None" has no attribute "colour"',
        '12: error: Item "None" of "VersionedKite | None" has no attribute "colour"',
        '13: error: Too few arguments for "maybe" of "Queries"',
        '14: error: Argument 4 to "maybe" of "Queries" has incompatible type "str"; expected "int"',
        '15: error: Too many arguments for "many" of "Queries"',
        '16: error: Argument 1 to "many" of "Queries" has incompatible type "Maybe[[UUID, UUID, int], VersionedKite]"',
    ]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("service/sql.pyi", "[[UUID, UUID, str], _R]", "[[UUID], _R]"),
        ("service/sql.pyi", "_R = TypeVar", "<<<<<<< HEAD\n_R = TypeVar"),  # a merge left a conflict
        ("sql/kites/delete_kite.sql", "integer[]?", "integer[] "),
    ],
)
@pytest.mark.slow
def test_stale_stub_is_found(tree: Copy, checked: Connection, path: str, old: str, new: str) -> None:
    tree.edit(path, old, new)

    assert as_text(tree.check(checked)) == (
        "service/sql.pyi:1: does not match the headers in sql/: run python -m service sql stub [stub]"
    )


def test_stub_is_regenerated(tree: Copy, database_url: str) -> None:
    before = (tree.root / "service/sql.pyi").read_text()
    tree.delete("service/sql.pyi")

    done = invoke("stub", "--directory", str(tree.root), "--database-url", database_url)

    assert done.stdout.startswith("service/sql.pyi: ")
    assert (tree.root / "service/sql.pyi").read_text() == before


def test_unreadable_files_make_no_stub(tree: Copy) -> None:
    tree.write("sql/kites/find_kite.sql", "select 1;")

    done = invoke("stub", "--directory", str(tree.root))

    assert done.stderr.startswith("Error: sql/kites/find_kite.sql:1: malformed header")


def test_stub_allows_declared_null_elements(tree: Copy, database_url: str) -> None:
    tree.edit("sql/kites/delete_kite.sql", "integer[]?", "integer?[]")
    tree.delete("service/sql.pyi")  # so that it is restored

    invoke("stub", "--directory", str(tree.root), "--database-url", database_url)

    assert "[[UUID, UUID, int, list[int | None] | tuple[int | None, ...]], _R]" in (
        (tree.root / "service/sql.pyi").read_text()
    )


def test_stub_of_a_range_parameter_passes_the_linter(tree: Copy, database_url: str) -> None:
    tree.edit("sql/kites/find_kite.sql", "bigint", "tstzrange")
    tree.delete("service/sql.pyi")  # so that it is restored

    invoke("stub", "--directory", str(tree.root), "--database-url", database_url)

    stub = tree.root / "service/sql.pyi"
    subprocess.run([sys.executable, "-m", "ruff", "check", f"--config={ROOT / 'pyproject.toml'}", stub], check=True)
    assert "[[UUID, UUID, Range[datetime]], _R]" in stub.read_text()
