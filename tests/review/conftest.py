"""Copies of the checkout, to be broken in one place each."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pytest_postgresql.executors import NoopExecutor

from service.dev.embedded import EmbeddedPostgres
from service.review.check import Tree, check, migrated
from service.review.findings import Finding
from service.review.scratch import connected
from tests.conftest import cloned
from tests.processes import ROOT

Connection = psycopg.Connection[Any]


def line_of(path: str, text: str) -> int:
    """Return the line of a file of the checkout on which `text` stands."""
    content = (ROOT / path).read_text()
    return content.count("\n", 0, content.index(text)) + 1


class Copy:
    """A copy of the checkout."""

    def __init__(self, root: Path) -> None:
        self.root = root
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
        (self.root / path).write_text(text)

    def delete(self, path: str) -> None:
        """Delete a file."""
        (self.root / path).unlink()

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


@pytest.fixture
def tree(tmp_path: Path) -> Copy:
    """Return a copy of the checkout."""
    return Copy(tmp_path)


@pytest.fixture(scope="module")
def module_database_url(template: NoopExecutor, server: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of a migrated database that the tests of one module share."""
    with cloned(template, server) as url:
        yield url


@pytest.fixture(scope="module")
def checked(module_database_url: str) -> Iterator[Connection]:
    """Return a connection to a migrated database, for trees whose migrations are as they were."""
    with connected(module_database_url) as connection:
        yield connection
