"""The commands ``python -m service sql …``: check, locks, explain and stub; the package `sqlbook` adds book."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.migrate import migration_files
from service.sqlcheck.command_line import (
    DATABASE,
    DIRECTORY,
    migrated_database,
    output_format,
    print_findings,
    progress_on_terminal,
    reported_errors,
    without_garbage_collection,
)

if TYPE_CHECKING:
    from service.sqlcheck.migrations.locks import ReviewedMigration

# Production imports this module without the development dependencies, so the functions import them.
# ruff: noqa: PLC0415


@click.group()
def sql() -> None:
    """Check, explain and document SQL files and migrations.

    Uses a real PostgreSQL. Needs the packages in requirements-dev.txt.
    """


@sql.command()
@DIRECTORY
@DATABASE
@output_format
@click.option(
    "--ran",
    envvar="SQL_RAN",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Also report queries that no test ran; the file lists those that did run, one per line.  [env: SQL_RAN]",
)
@click.option(
    "--compatible-with", metavar="REF", help="Also check the SQL files of this git revision on the new schema."
)
@click.option("--scale", is_flag=True, help="Also run each query on a million rows and count the rows it reads.")
@click.option("--rollbacks", is_flag=True, help="Also try each rollback: it must restore the previous schema.")
@click.option(
    "--live", metavar="URL", help="Also compare this database, which is only read, with the schema of the migrations."
)
def check(directory: Path, database_url: str | None, form: str, ran: Path | None, **options: Any) -> None:  # noqa: ANN401 - the other checks
    """Check every query against schema and code.

    The schema is built from migrations/. Exit status 1 if there are findings; docs/checks.md explains each.
    """
    with reported_errors(), without_garbage_collection(), ThreadPoolExecutor() as pool:
        from service.sqlcheck.check import check_checkout
        from service.sqlcheck.scratch import scratch_database
        from service.sqlcheck.tree import Tree

        reading = pool.submit(Tree.read, directory)  # while PostgreSQL starts
        with scratch_database(database_url) as url:
            tree = reading.result()
            progress = progress_on_terminal(len(tree.statements))
            found = check_checkout(tree, url, pool, ran=ran and ran.read_text().split(), progress=progress, **options)
    print_findings(found, form, f"{len(tree.statements)} queries, {len(migration_files(tree.migrations))} migrations")


@sql.command()
@DIRECTORY
@DATABASE
@output_format
def locks(directory: Path, database_url: str | None, form: str) -> None:
    """Report which tables each migration locks.

    Applies the migrations to a scratch database, and reports which sessions each lock would block: readers, writers or
    other migrations. Exit status 1 if there are findings; docs/checks.md explains each.
    """
    with reported_errors():
        from service.sqlcheck.migrations.locks import review_migrations
        from service.sqlcheck.scratch import connect, scratch_database

        reviewed: list[ReviewedMigration] = []
        with scratch_database(database_url) as url, connect(url) as connection:
            for migration in review_migrations(connection, directory / "migrations"):
                reviewed.append(migration)
                if form == "text":
                    _print_locks(migration)
    found = {finding for migration in reviewed for finding in migration.findings}
    print_findings(sorted(found), form, f"{len(reviewed)} migrations")


def _print_locks(migration: "ReviewedMigration") -> None:
    click.secho(migration.name, bold=True)
    if migration.locks is None:
        click.echo("  not a single transaction: its locks cannot be read")
    for lock in migration.locks or []:
        click.echo(f"  {lock.table}: {lock.sql_mode}, {lock.waits}{', rewritten' if lock.rewritten else ''}")
    if migration.locks == []:
        click.echo("  locks no existing table")


@sql.command()
@DIRECTORY
@DATABASE
@click.argument("names", nargs=-1, metavar="[NAME]...")
def explain(directory: Path, database_url: str | None, names: tuple[str, ...]) -> None:
    """Print the generic plans of queries.

    Without NAME, prints those of all queries. A sequential scan appears only if no index serves the query.
    """
    with reported_errors():
        from service.sqlcheck.analysis.planner import Planner
        from service.sqlcheck.analysis.refusal import RefusedError
        from service.sqlcheck.tree import Tree

        tree = Tree.read(directory)
        refused = [] if names else [*tree.broken.values()]
        if unknown := [name for name in names if name not in tree.statements]:
            raise click.ClickException(f"There is no readable query {unknown[0]!r} in {directory / 'sql'}")
        with migrated_database(tree, database_url) as connection:
            planner = Planner(connection)
            for name in names or tree.statements:
                try:
                    click.echo(f"{click.style(name, bold=True)}\n{planner.explain(tree.statements[name])}\n")
                except RefusedError as error:
                    refused.append(error.finding)
    if refused:
        raise click.ClickException("\n".join(map(str, refused)))


@sql.command()
@DIRECTORY
@DATABASE
def stub(directory: Path, database_url: str | None) -> None:
    """Write service/sql.pyi, the type stub for mypy.

    It contains the parameter types of each query.
    """
    with reported_errors():
        from service.sqlcheck.analysis.description import Describer
        from service.sqlcheck.rules.stub import write_stub
        from service.sqlcheck.tree import Tree

        tree = Tree.read(directory)
        if tree.broken:
            raise click.ClickException(str(next(iter(tree.broken.values()))))
        with migrated_database(tree, database_url) as connection:
            path = write_stub(tree.root, tree.statements, Describer(connection).types)
    click.echo(f"{path.relative_to(tree.root)}: {len(tree.statements)} queries")
