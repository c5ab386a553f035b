"""`sql check`: all checks of a checkout's queries and schema, on a migrated database."""

import io
from collections.abc import Callable, Collection
from contextlib import redirect_stdout
from pathlib import Path

import attrs
import psycopg

from service import migrate
from service.postgres import QueryError, Statement, query_names, read_query
from service.sqlcheck import functions, hygiene, one_shard, replica, schema_lint, stub, usage
from service.sqlcheck.code import Code, QueryReference
from service.sqlcheck.description import Describer
from service.sqlcheck.findings import Finding, from_error
from service.sqlcheck.migration_files import MigrationFiles
from service.sqlcheck.python_sql import find_sql
from service.sqlcheck.schema_checks import check_schema, describe
from service.sqlcheck.scratch import with_extension_advice

Progress = Callable[[str], None]


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


def check_tree(
    tree: Tree,
    connection: psycopg.Connection[object],
    *,
    ran: Collection[str] | None = None,
    progress: Progress = lambda _: None,
) -> list[Finding]:
    """Run all checks on a migrated database, which is not changed.

    :param ran: the names of the queries that the tests ran; None if unknown
    :param progress: called with the name of each query before its checks
    """
    found = [*tree.broken.values(), *find_sql(tree.code)]
    found += usage.check_references(tree.statements, tree.broken, tree.code.references)
    if ran is not None:
        found += usage.find_untested(tree.statements, ran)
    describer = Describer(connection)
    files = MigrationFiles(tree.migrations)
    found += functions.check_functions(connection, describer.catalogue, files)
    reads = schema_lint.QueryReads(complete=not tree.broken)
    column = one_shard.distribution_column(tree.root / "sql")
    distributed = one_shard.distributed_tables(connection, column) if column else ()
    if not tree.broken:
        found += stub.check_stub(tree.root, tree.statements, describer.types)
    for statement in tree.statements.values():
        progress(statement.name)
        description = describe(describer, statement)
        if isinstance(description, Finding):
            found.append(description)
            reads.complete = False
            continue
        reads.add(description)
        found += hygiene.check_statement(description.parsed)
        found += replica.check_replica_marker(description.parsed, describer.catalogue.volatile_names)
        found += check_schema(description, tree.references(statement.name))
        if column:
            found += one_shard.check_one_shard(description.parsed, column, distributed)
    found += schema_lint.check_design(connection, files, reads)
    found += files.unneeded_acceptances()
    return sorted(set(found))
