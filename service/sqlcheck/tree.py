"""A checkout: its query files, its migrations, and the Python code that names its queries."""

import io
from contextlib import redirect_stdout
from pathlib import Path

import attrs

from service import migrate
from service.postgres import QueryError, Statement, query_names, read_query
from service.sqlcheck.code import Code, QueryReference
from service.sqlcheck.findings import Finding, from_error
from service.sqlcheck.scratch import with_extension_advice


@attrs.frozen
class Tree:
    """A checkout: its query files, those that are `broken`, and the references in its code."""

    root: Path
    statements: dict[str, Statement]
    broken: dict[str, Finding]
    code: Code

    @classmethod
    def read(cls, root: Path) -> "Tree":
        """Read ``sql/`` and ``service/`` below `root`. Raises SyntaxError."""
        statements: dict[str, Statement] = {}
        broken: dict[str, Finding] = {}
        for name in query_names(root / "sql"):
            try:
                statements[name] = read_query(name, root / "sql")
            except QueryError as error:
                broken[name] = from_error("header", error, root / "sql")
        return cls(root, statements, broken, Code(root))

    @property
    def migrations(self) -> Path:
        """The folder of its migrations."""
        return self.root / "migrations"

    def references(self, name: str) -> list[QueryReference]:
        """Return the places in the code that name a query."""
        return [reference for reference in self.code.references if reference.query == name]


def apply_migrations(tree: Tree, url: str) -> Finding | None:
    """Apply the migrations of a checkout; if one fails, return that as a finding."""
    try:
        with redirect_stdout(io.StringIO()):  # yoyo prints the rows that a migration selects
            migrate.apply(url, tree.migrations, report=lambda _: None)
    except migrate.MigrationError as error:
        refused = from_error("migration", error, tree.migrations)
        return attrs.evolve(refused, sentence=with_extension_advice(refused.sentence))
    return None
