"""Copies of the checkout, to be broken in one place each."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.review.check import Tree, check, migrated
from service.review.findings import Finding
from service.review.scratch import connected
from tests.processes import ROOT

Connection = psycopg.Connection[Any]


def line_of(path: str, text: str) -> int:
    """Return the line of a file of the checkout on which `text` stands."""
    content = (ROOT / path).read_text()
    return content.count("\n", 0, content.index(text)) + 1


class Copy:
    """A copy of the checkout, which can be put back to what it was."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._changed: set[str] = set()
        for name in ("sql", "migrations", "service"):
            ignored = shutil.ignore_patterns("__pycache__", "swagger_ui")
            shutil.copytree(ROOT / name, root / name, ignore=ignored)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace `old`, which must be there."""
        text = (self.root / path).read_text()
        assert old in text, f"{path} has no {old!r}"
        self.write(path, text.replace(old, new))

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        self._changed.add(path)
        (self.root / path).write_text(text)

    def delete(self, path: str) -> None:
        """Delete a file."""
        self._changed.add(path)
        (self.root / path).unlink()

    def restore(self) -> None:
        """Undo all that."""
        for path in self._changed:
            if (ROOT / path).exists():
                shutil.copyfile(ROOT / path, self.root / path)
            else:
                (self.root / path).unlink(missing_ok=True)
        self._changed.clear()

    def check(self, connection: Connection, **options: Any) -> list[Finding]:  # noqa: ANN401 - passed on
        """Check the queries and the code on the schema that is there."""
        return check(Tree.read(self.root), connection, **options)

    def check_all(self, url: str) -> list[Finding]:
        """Migrate an empty database, then check."""
        tree = Tree.read(self.root)
        if refused := migrated(tree, url):
            return [refused]
        with connected(url) as connection:
            return check(tree, connection)


@pytest.fixture(scope="session")
def _copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("tree"))


@pytest.fixture
def tree(_copy: Copy) -> Iterator[Copy]:
    """Return a copy of the checkout, which all tests share: what this one writes is undone after it."""
    yield _copy
    _copy.restore()


@pytest.fixture(scope="module")
def checked(module_database_url: str) -> Iterator[Connection]:
    """Return a connection to a migrated database, for trees whose migrations are as they were."""
    with connected(module_database_url) as connection:
        yield connection
