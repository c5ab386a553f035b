"""`sql check`: all checks of a checkout."""

from collections.abc import Callable, Collection
from concurrent.futures import Executor, wait
from typing import Any

import psycopg

from service.sqlcheck.analysis.description import Describer
from service.sqlcheck.deploy_order import check_revision
from service.sqlcheck.drift import check_drift
from service.sqlcheck.findings import Finding, findings_of
from service.sqlcheck.migrations import functions, schema_lint
from service.sqlcheck.migrations.locks import check_migrations
from service.sqlcheck.migrations.migration_files import MigrationFiles
from service.sqlcheck.migrations.rollbacks import check_rollbacks
from service.sqlcheck.rules import one_shard, stub, usage
from service.sqlcheck.rules.python_sql import find_sql
from service.sqlcheck.rules.query_checks import check_query, describe
from service.sqlcheck.scale import check_scale
from service.sqlcheck.scratch import connect
from service.sqlcheck.tree import Tree, apply_migrations

Progress = Callable[[str], None]


def check_checkout(  # noqa: PLR0913 - the options of the command
    tree: Tree,
    server: str,
    pool: Executor,
    *,
    compatible_with: str | None,
    rollbacks: bool,
    live: str | None,
    scale: bool,
    **options: Any,  # noqa: ANN401 - those of check_tree()
) -> list[Finding]:
    """Apply the migrations of a checkout to an empty database, and run all checks. Raises RevisionError.

    :param server: the URL of the database, on whose server scratch databases can be created
    :param pool: runs the review of the migrations at the same time
    """
    reviewed = pool.submit(check_migrations, tree.migrations, server)
    try:
        if refused := apply_migrations(tree, server):
            return [refused]
        with connect(server) as connection:
            found = check_tree(tree, connection, **options)
            if compatible_with:
                found += check_revision(tree.root, compatible_with, server, connection)
            if rollbacks:
                found += check_rollbacks(tree.migrations, server)
            if live:
                found += check_drift(tree, live, connection)
            if scale:
                found += check_scale(tree, connection)
            return sorted({*found, *reviewed.result()})
    finally:
        wait([reviewed])  # before its server is stopped


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
        found += check_query(description, tree.references(statement.name))
        if column:
            problems = one_shard.check_one_shard(description, column, distributed)
            found += findings_of(statement, problems, {"one-shard"})
    found += schema_lint.check_design(connection, files, reads)
    found += files.unneeded_acceptances()
    return sorted(set(found))
