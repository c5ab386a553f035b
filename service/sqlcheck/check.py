"""`sql check`: all checks of a checkout's queries and schema, on a migrated database."""

from collections.abc import Callable, Collection

import psycopg

from service.sqlcheck.analysis.description import Describer
from service.sqlcheck.findings import Finding
from service.sqlcheck.migrations import functions, schema_lint
from service.sqlcheck.migrations.migration_files import MigrationFiles
from service.sqlcheck.rules import hygiene, one_shard, replica, stub, usage
from service.sqlcheck.rules.python_sql import find_sql
from service.sqlcheck.rules.schema_checks import check_schema, describe
from service.sqlcheck.tree import Tree

Progress = Callable[[str], None]


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
    distributed = one_shard.distributed_tables(connection, column) if column else {}
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
            found += one_shard.check_one_shard(description, column, distributed)
    found += schema_lint.check_design(connection, files, reads)
    found += files.unneeded_acceptances()
    return sorted(set(found))
