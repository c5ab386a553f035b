"""The options of the commands, their scratch databases, and the output of findings and errors."""

import atexit
import gc
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    import psycopg

    from service.sqlcheck.findings import Finding
    from service.sqlcheck.tree import Tree

# Production imports this module without the development dependencies, so the functions import them.
# ruff: noqa: PLC0415

F = TypeVar("F", bound=Callable[..., None])

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
    envvar="SCRATCH_DATABASE_URL",
    show_envvar=True,
    help="Create scratch databases on this server, with a role that can do so.  [default: an embedded PostgreSQL]",
)


def output_format(function: F) -> F:
    """Add the options for the output format of findings."""
    as_json = click.option("--json", "form", flag_value="json", help="Report findings as a JSON array.")
    as_github = click.option("--github", "form", flag_value="github", help="Report findings as GitHub annotations.")
    as_text = click.option(
        "--text", "form", flag_value="text", default="text", help="Report findings as lines.  [default]"
    )
    return as_text(as_json(as_github(function)))


def print_findings(findings: "Collection[Finding]", form: str, checked: str) -> None:
    """Print findings in the format `form` and exit with status 1; if there are none, print what was `checked`."""
    from service.sqlcheck.findings import as_github, as_json, as_text, summary

    if text := {"text": as_text, "json": as_json, "github": as_github}[form](findings):
        click.echo(text)
    if findings and form == "text":
        click.echo(summary(findings))
    if findings:
        raise SystemExit(1)
    if form != "json":
        click.echo(f"{checked}: no findings")


@contextmanager
def reported_errors() -> Iterator[None]:
    """Report an error as one sentence: a missing package, invalid Python, or an error of PostgreSQL."""
    import psycopg

    try:
        yield
    except ModuleNotFoundError as error:
        sentence = f"This needs {error.name}: install the dev requirements (pip install -r requirements-dev.txt)"
        raise click.ClickException(sentence) from error
    except SyntaxError as error:
        raise click.ClickException(f"{error.filename}:{error.lineno}: Python cannot read this: {error.msg}") from error
    except psycopg.Error as error:
        raise click.ClickException(f"PostgreSQL says: {str(error).splitlines()[0]}") from error


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Disable the garbage collector, whose runs through all syntax trees take a third of the time of the checks."""
    gc.disable()
    atexit.register(gc.freeze)  # exempts all objects from the collection when the interpreter exits
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def migrated_database(tree: "Tree", url: str | None) -> "Iterator[psycopg.Connection[Any]]":
    """Yield a connection to a scratch database with the schema of a checkout."""
    from service.sqlcheck.scratch import connect, scratch_database
    from service.sqlcheck.tree import apply_migrations

    with scratch_database(url) as database:
        if refused := apply_migrations(tree, database):
            raise click.ClickException(str(refused))
        with connect(database) as connection:
            yield connection


def progress_on_terminal(total: int) -> Callable[[str], None]:
    """Return a function that shows the progress on a terminal; elsewhere, it does nothing."""
    if not sys.stderr.isatty():
        return lambda _: None
    done = 0

    def report(name: str) -> None:
        nonlocal done
        done += 1
        click.echo(f"\r\033[K{done} of {total}: {name}" if done < total else "\r\033[K", err=True, nl=False)

    return report
