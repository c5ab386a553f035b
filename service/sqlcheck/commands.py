"""The commands for DBAs, ``python -m service sql …``: what they need beyond production is imported late."""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=ROOT,
    show_default=False,
    help="The checkout with sql/, migrations/ and service/.  [default: this one]",
)
DATABASE = click.option(
    "--database-url",
    help="Use scratch databases on this server, whose role may create them.  [default: an embedded PostgreSQL]",
)
FORMATS = {"text": "as_text", "json": "as_json", "github": "as_github"}


def _format(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose how findings are told."""
    as_json = click.option("--json", "form", flag_value="json", help="Tell findings as a JSON array.")
    as_github = click.option("--github", "form", flag_value="github", help="Tell findings as GitHub's annotations.")
    as_text = click.option("--text", "form", flag_value="text", default="text", help="A line each.  [default]")
    return as_text(as_json(as_github(function)))


@click.group()
def sql() -> None:
    """Check the SQL files and the migrations against a real PostgreSQL.

    Needs the dev requirements.
    """


@sql.command()
@DIRECTORY
@DATABASE
@_format
@click.option(
    "--ran",
    envvar="SQL_RAN",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The names of the queries that the tests ran, one a line.  [env: SQL_RAN]",
)
@click.option("--compatible-with", metavar="REF", help="Check the SQL files of this git revision on the schema, too.")
@click.option("--scale", is_flag=True, help="Run each query on a million rows, too, and count what it reads.")
def check(directory: Path, database_url: str | None, form: str, **options: Any) -> None:  # noqa: ANN401 - click's
    """Check every query and what the code makes of it, on a schema made from migrations/.

    Exit status 1 where there are findings; docs/checks.md explains each.
    """
    with _reviewing():
        checks = importlib.import_module("service.sqlcheck.check")
        tree = checks.Tree.read(directory)
        with _scratch(database_url) as url:
            if refused := checks.migrated(tree, url):
                found = [refused]
            else:
                with _connected(url) as connection:
                    found = list(_checks(tree, connection, url, **options))
    migrations = len([path for path in tree.migrations.glob("*.sql") if not path.name.endswith(".rollback.sql")])
    _tell(found, form, f"{len(tree.statements)} queries, {migrations} migrations")


def _checks(  # noqa: PLR0913 - the command's options
    tree: Any,  # noqa: ANN401 - check.Tree
    connection: Any,  # noqa: ANN401 - psycopg.Connection
    url: str,
    *,
    ran: Path | None,
    compatible_with: str | None,
    scale: bool,
) -> Iterator[Any]:
    names = ran.read_text().split() if ran else None
    checks = importlib.import_module("service.sqlcheck.check")
    yield from checks.check(tree, connection, ran=names, progress=_progress(len(tree.statements)))
    if compatible_with:
        compatible = importlib.import_module("service.sqlcheck.compatible")
        try:
            yield from compatible.check(tree.root, compatible_with, url, connection)
        except compatible.RevisionError as error:
            raise click.ClickException(str(error)) from error
    if scale:
        yield from importlib.import_module("service.sqlcheck.scale").check(tree, connection)


@sql.command()
@DIRECTORY
@DATABASE
@_format
def locks(directory: Path, database_url: str | None, form: str) -> None:
    """Apply each migration to a scratch database, and tell which tables it locks and who would wait.

    Exit status 1 where there are findings; docs/checks.md explains each.
    """
    with _reviewing():
        review = importlib.import_module("service.sqlcheck.locks").review
        found: list[Any] = []
        done = 0
        with _scratch(database_url) as url, _connected(url) as connection:
            for migration in review(connection, directory / "migrations"):
                done += 1
                found += migration.findings
                if form == "text":
                    _tell_locks(migration)
    _tell(found, form, f"{done} migrations")


def _tell_locks(migration: Any) -> None:  # noqa: ANN401 - locks.Migration
    click.secho(migration.name, bold=True)
    if migration.locks is None:
        click.echo("  not one transaction: its locks cannot be read")
    for lock in migration.locks or []:
        click.echo(f"  {lock.table}: {lock.sql_mode}, {lock.waits}{', rewritten' if lock.rewritten else ''}")
    if migration.locks == []:
        click.echo("  locks nothing that exists already")


@sql.command()
@DIRECTORY
@DATABASE
@click.argument("names", nargs=-1, metavar="[NAME]...")
def explain(directory: Path, database_url: str | None, names: tuple[str, ...]) -> None:
    """Print the generic plan of the named queries, or of all; sequential scans only where no index serves."""
    with _reviewing():
        checks = importlib.import_module("service.sqlcheck.check")
        tree = checks.Tree.read(directory)
        if unknown := [name for name in names if name not in tree.statements]:
            raise click.ClickException(f"There is no query {unknown[0]!r} that can be read below {directory / 'sql'}")
        with _migrated(tree, database_url) as connection:
            described = importlib.import_module("service.sqlcheck.described")
            describer = described.Describer(connection)
            for name in names or tree.statements:
                try:
                    plan = describer.explain(tree.statements[name])
                except described.RefusedError as error:
                    raise click.ClickException(f"{name}: {error}") from error
                click.echo(f"{click.style(name, bold=True)}\n{plan}\n")


@sql.command()
@DIRECTORY
@DATABASE
def stub(directory: Path, database_url: str | None) -> None:
    """Write service/sql.pyi anew, by which mypy knows the parameters of each query."""
    with _reviewing():
        checks = importlib.import_module("service.sqlcheck.check")
        tree = checks.Tree.read(directory)
        if tree.broken:
            raise click.ClickException(str(next(iter(tree.broken.values()))))
        with _migrated(tree, database_url) as connection:
            types = importlib.import_module("service.sqlcheck.types").Types(connection)
            path = importlib.import_module("service.sqlcheck.stub").write(tree.root, tree.statements, types)
    click.echo(f"{path.relative_to(tree.root)}: {len(tree.statements)} queries")


@sql.command()
@DIRECTORY
@DATABASE
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("book"),
    show_default=True,
    help="The folder to write; a book that is there is replaced.",
)
@click.option("--scale", is_flag=True, help="Measure sizes and plans on a million rows, too.")
@click.option("--since", metavar="REF", help="Print instead, as Markdown, what has changed since this git revision.")
def book(directory: Path, database_url: str | None, out: Path, scale: bool, since: str | None) -> None:  # noqa: FBT001 - click's
    """Write a book of the schema, the queries, the migrations and the endpoints: HTML that opens from disk.

    docs/book.md shows it.
    """
    with _reviewing():
        contents, changes, pages = (
            importlib.import_module(f"service.sqlbook.{name}") for name in ("contents", "changes", "pages")
        )
        tree = importlib.import_module("service.sqlcheck.check").Tree.read(directory)
        progress = _progress(contents.steps(tree, seeded=scale) * (2 if since else 1))
        try:
            with _scratch(database_url) as server:
                if since:
                    click.echo(changes.since(since, tree, server, progress=progress), nl=False)
                    return
                written = contents.gather(tree, server, seeded=scale, progress=progress)
            number = pages.write(written, out)
        except (changes.RevisionError, contents.RefusedError, pages.FolderError) as error:
            raise click.ClickException(str(error)) from error
    findings = f"{len(written.findings)} findings" if written.findings else "no findings"
    click.echo(f"{number} pages, {findings}: open {out / 'index.html'}")


@contextmanager
def _reviewing() -> Iterator[None]:
    """Say in one sentence what is missing, or what PostgreSQL refuses."""
    import psycopg  # noqa: PLC0415 - `serve` would import it with this module: 0.1 s

    try:
        yield
    except ModuleNotFoundError as error:
        sentence = f"This needs {error.name}: install the dev requirements (pip install -r requirements-dev.txt)"
        raise click.ClickException(sentence) from error
    except SyntaxError as error:
        raise click.ClickException(f"{error.filename}:{error.lineno}: Python cannot read this: {error.msg}") from error
    except psycopg.Error as error:
        raise click.ClickException(f"PostgreSQL says: {str(error).splitlines()[0]}") from error
    except ValueError as error:
        raise click.ClickException(f"The database's URL {error}") from error


@contextmanager
def _scratch(url: str | None) -> Iterator[str]:
    scratch = importlib.import_module("service.sqlcheck.scratch")
    embedded = importlib.import_module("service.embedded.server")
    try:
        with scratch.database(url) as database:
            yield database
    except embedded.EmbeddedPostgresError as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _migrated(tree: Any, url: str | None) -> Iterator[Any]:  # noqa: ANN401 - check.Tree, psycopg.Connection
    """Connect to a scratch database with the tree's schema."""
    with _scratch(url) as database:
        if refused := importlib.import_module("service.sqlcheck.check").migrated(tree, database):
            raise click.ClickException(str(refused))
        with _connected(database) as connection:
            yield connection


def _connected(url: str) -> Any:  # noqa: ANN401 - psycopg.Connection
    return importlib.import_module("service.sqlcheck.scratch").connected(url)


def _progress(total: int) -> Callable[[str], None]:
    """Return what counts on a terminal, and is silent elsewhere."""
    if not sys.stderr.isatty():
        return lambda _: None
    done = 0

    def tell(name: str) -> None:
        nonlocal done
        done += 1
        click.echo(f"\r\033[K{done} of {total}: {name}" if done < total else "\r\033[K", err=True, nl=False)

    return tell


def _tell(found: list[Any], form: str, checked: str) -> None:
    findings = importlib.import_module("service.sqlcheck.findings")
    if text := getattr(findings, FORMATS[form])(found):
        click.echo(text)
    if found:
        raise SystemExit(1)
    if form != "json":
        click.echo(f"{checked}: no findings")
