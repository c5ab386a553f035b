"""The book of a small tree, made once."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from service.embedded import EmbeddedPostgres
from service.sqlbook.contents import Contents
from service.sqlbook.gathering import gather
from service.sqlcheck import Schema, read_schema
from service.sqlcheck.analysis.types import Types
from service.sqlcheck.rules import stub
from service.sqlcheck.scratch import connect
from service.sqlcheck.tree import Tree
from tests.support.small_tree import FILES, HOSTILE


@pytest.fixture(scope="session")
def small_tree(tmp_path_factory: pytest.TempPathFactory, server: EmbeddedPostgres) -> Path:
    """Return the root of the tree."""
    root = tmp_path_factory.mktemp("small")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        quoted = HOSTILE.replace("'", "''")
        (root / name).write_text(text.replace("HOSTILE_QUOTED", quoted).replace("HOSTILE", HOSTILE))
    tree = Tree.read(root)
    with connect(server.url("postgres")) as connection:
        # The stub lacks types of a schema that does not exist yet; `sql check` will report that.
        stub.write_stub(root, {"shelves.find_shelf": tree.statements["shelves.find_shelf"]}, Types(connection))
    return root


@pytest.fixture(scope="session")
def small_book(small_tree: Path, server: EmbeddedPostgres) -> Contents:
    """Return the contents of its book."""
    return gather(Tree.read(small_tree), server.url("postgres"))


@pytest.fixture(scope="module")
def schema(kites_database_url: str) -> Iterator[Schema]:
    """Return the schema of the checkout, with kites."""
    with connect(kites_database_url) as connection:
        yield read_schema(connection)


@pytest.fixture
def transaction(kites_database_url: str) -> Iterator[psycopg.Connection[object]]:
    """Return a connection to a migrated database, with kites, in a transaction that is rolled back after the test."""
    with connect(kites_database_url) as connection, connection.transaction(force_rollback=True):
        yield connection
