"""`sql check`: each check, on one tree and one migrated database."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import attrs
import psycopg
from pglast.parser import ParseError

from service.migrate import runner as migrate
from service.postgres.queries import QueryError, Statement, names, read
from service.sqlcheck import columns, hygiene, nulls, plans, replica, stub, use
from service.sqlcheck.code import Code, Reading
from service.sqlcheck.described import Described, Describer, RefusedError
from service.sqlcheck.findings import Finding, from_error

Progress = Callable[[str], None]


@attrs.frozen
class Tree:
    """A checkout: its query files, and what its code says of them."""

    root: Path
    statements: dict[str, Statement]
    broken: dict[str, Finding]
    code: Code

    @classmethod
    def read(cls, root: Path) -> "Tree":
        """Read ``sql/`` and ``service/`` below `root`. Raises SyntaxError."""
        statements: dict[str, Statement] = {}
        broken: dict[str, Finding] = {}
        for name in names(root / "sql"):
            try:
                statements[name] = read(name, root / "sql")
            except QueryError as error:
                broken[name] = from_error("header", error, root / "sql")
        return cls(root, statements, broken, Code(root))

    @property
    def migrations(self) -> Path:
        """Where its migrations are."""
        return self.root / "migrations"

    def readings(self, name: str) -> list[Reading]:
        """Return the places that name a query."""
        return [reading for reading in self.code.readings if reading.query == name]


def migrated(tree: Tree, url: str) -> Finding | None:
    """Apply the tree's migrations; return what refuses them."""
    try:
        migrate.apply(url, tree.migrations, report=lambda _: None)
    except migrate.MigrationError as error:
        return from_error("migration", error, tree.migrations)
    return None


def check(
    tree: Tree,
    connection: psycopg.Connection[object],
    *,
    ran: Collection[str] | None = None,
    progress: Progress = lambda _: None,
) -> list[Finding]:
    """Run every check on a migrated database, where nothing is changed.

    :param ran: the queries that the tests ran; None where nobody has looked
    :param progress: is told the name of each query when its turn comes
    """
    found = [*tree.broken.values(), *hygiene.built_sql(tree.code)]
    found += use.readings(tree.statements, tree.broken, tree.code.readings)
    if ran is not None:
        found += use.not_run(tree.statements, ran)
    describer = Describer(connection)
    if not tree.broken:
        found += stub.stale(tree.root, tree.statements, describer.types)
    for statement in tree.statements.values():
        progress(statement.name)
        described = describe(describer, statement)
        if isinstance(described, Finding):
            found.append(described)
            continue
        found += hygiene.statement(described.parsed)
        found += replica.marked(described.parsed, describer.volatile)
        found += fits(tree, describer, described)
    return sorted(set(found))


def describe(describer: Describer, statement: Statement) -> Described | Finding:
    """Return what PostgreSQL says of a statement, or how it refuses it."""
    try:
        return describer.describe(statement)
    except RefusedError as error:
        return columns.at(statement, error.line, str(error), "refused")
    except ParseError as error:  # a word that this PostgreSQL knows, and the parser of another release does not
        return columns.at(statement, 1, f"pglast cannot parse it: {error.args[0]}", "refused")


def fits(tree: Tree, describer: Describer, described: Described) -> Iterator[Finding]:
    """Check what a schema decides: types, nulls and plans."""
    yield from columns.parameters(described, describer.types)
    readings: list[Reading | None] = [*tree.readings(described.statement.name)]
    for reading in readings or [None]:
        yield from columns.columns(described, reading, describer.types)
        yield from nulls.findings(described, reading, describer.not_null)
    yield from plans.sequential_scans(described)
