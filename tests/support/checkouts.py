"""Copies of the checkout for tests that break them in one place."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest

from service.dev.scaffold.resource import read_resource
from service.dev.scaffold.writing import EDITS, write
from service.sqlcheck.analysis.types import Types
from service.sqlcheck.check import check_tree
from service.sqlcheck.findings import Finding
from service.sqlcheck.migrations.locks import ReviewedMigration, review_migrations
from service.sqlcheck.rules import stub
from service.sqlcheck.scratch import connect
from service.sqlcheck.tree import Tree, apply_migrations
from tests.support.processes import ROOT

Connection = psycopg.Connection[Any]
NEWEST = max(path.name for path in ROOT.glob("migrations/*.rollback.sql"))
CREATE_KITES = f"{int(NEWEST.partition('_')[0]) + 1:04}_create_kites"


def line_of(path: str, text: str) -> int:
    """Return the number of the first line with `text` in a file of the checkout."""
    content = (ROOT / path).read_text()
    return content.count("\n", 0, content.index(text)) + 1


@attrs.frozen
class Broken:
    """An edit, and the findings about it."""

    name: str
    finding: str
    path: str
    old: str
    new: str


class Copy:
    """A copy of a tree that can be restored."""

    def __init__(self, root: Path, original: Path) -> None:
        self.root = root
        self._original = original
        self._changed: set[str] = set()
        copy_tree(original, root)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace `old`, which must be present."""
        text = (self.root / path).read_text()
        assert old in text, f"{path} has no {old!r}"
        self.write(path, text.replace(old, new))

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        self._changed.add(path)
        (self.root / path).write_text(text)

    def write_migration(self, name: str, sql: str, undo: str = "select 1;") -> None:
        """Write a migration and its rollback."""
        self.write(f"migrations/{name}.sql", f"{sql}\n")
        self.write(f"migrations/{name}.rollback.sql", f"{undo}\n")

    def delete(self, path: str) -> None:
        """Delete a file."""
        self._changed.add(path)
        (self.root / path).unlink()

    def restore(self) -> None:
        """Undo all changes."""
        for path in self._changed:
            if (self._original / path).exists():
                shutil.copyfile(self._original / path, self.root / path)
            else:
                (self.root / path).unlink(missing_ok=True)
        self._changed.clear()

    def check(self, connection: Connection, **options: Any) -> list[Finding]:  # noqa: ANN401 - passed on
        """Check queries and code against the existing schema."""
        return check_tree(Tree.read(self.root), connection, **options)

    def check_broken(self, broken: Broken, connection: Connection) -> list[Finding]:
        """Make the edit, then check; a wrong header also makes the stub stale, which has its own test."""
        self.edit(broken.path, broken.old, broken.new)
        return [finding for finding in self.check(connection) if finding.check != "stub"]

    def check_all(self, url: str) -> list[Finding]:
        """Migrate an empty database, then check."""
        tree = Tree.read(self.root)
        if refused := apply_migrations(tree, url):
            return [refused]
        with connect(url) as connection:
            return check_tree(tree, connection)

    def review_newest_migration(self, url: str) -> ReviewedMigration:
        """Apply the migrations to an empty database, and return the review of the last one."""
        with connect(url) as connection:
            return list(review_migrations(connection, self.root / "migrations"))[-1]


def copy_tree(original: Path, root: Path) -> None:
    """Copy the files that the commands read."""
    for name in ("sql", "migrations", "service"):
        ignored = shutil.ignore_patterns("__pycache__", "swagger_ui")
        shutil.copytree(original / name, root / name, ignore=ignored)
    shutil.copyfile(original / ".squawk.toml", root / ".squawk.toml")


@pytest.fixture(scope="session")
def with_kites(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Path:
    """Return the root of a copy of the checkout with the resource `kites` as `new` generates it."""
    root = tmp_path_factory.mktemp("with_kites")
    copy_tree(ROOT, root)
    for path in EDITS:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, root / path)
    write(read_resource("kites", ["kite_name:text"]), root)
    with connect(database_url) as connection:  # it has the types that migrations create
        stub.write_stub(root, Tree.read(root).statements, Types(connection))
    return root


@pytest.fixture(scope="session")
def _copy(tmp_path_factory: pytest.TempPathFactory, with_kites: Path) -> Copy:
    return Copy(tmp_path_factory.mktemp("tree"), with_kites)


@pytest.fixture
def tree(_copy: Copy) -> Iterator[Copy]:
    """Return a shared copy of the checkout with kites; the test's changes are undone after it."""
    yield _copy
    _copy.restore()


@pytest.fixture(scope="module")
def kites_database_url(module_database_url: str, _copy: Copy) -> str:
    """Return the URL of a migrated database with kites, shared by the tests of a module."""
    assert apply_migrations(Tree.read(_copy.root), module_database_url) is None
    return module_database_url


@pytest.fixture(scope="module")
def checked(kites_database_url: str) -> Iterator[Connection]:
    """Return a connection to a migrated database, for trees with unchanged migrations."""
    with connect(kites_database_url) as connection:
        yield connection
