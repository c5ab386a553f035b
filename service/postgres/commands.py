"""The command ``roles``."""

from typing import TYPE_CHECKING

import click

from service.postgres.libpq import psycopg_conninfo
from service.postgres.query_file import SQL
from service.problems import OperatorError
from service.settings import database_url

if TYPE_CHECKING:
    from psycopg.errors import Diagnostic


@click.command()
@click.option("--apply", is_flag=True, help="Run the SQL on DATABASE_URL, as an administrator of the server.")
def roles(*, apply: bool) -> None:
    """Print or apply the SQL that creates three database roles.

    The owner migrates, the service reads and writes rows, the reader only reads; each has only the privileges it
    needs. Run it before the first migration; it can be run again at any time.
    """
    text = (SQL / "roles.sql").read_text(encoding="utf-8")
    if apply:
        _apply(text, database_url())
        click.echo("service_owner, service_app and service_reader exist; set their passwords with psql's \\password")
    else:
        click.echo(text, nl=False)


def _apply(text: str, url: str) -> None:
    """Run the SQL in one transaction, and print PostgreSQL's warnings. Raises OperatorError."""
    import psycopg  # noqa: PLC0415 - slow to import

    try:
        with psycopg.connect(psycopg_conninfo(url), application_name="service roles") as connection:
            connection.add_notice_handler(_print_warning)
            connection.execute(text)
    except psycopg.Error as error:
        reason = str(error).splitlines()[0]
        sentence = f"PostgreSQL says: {reason}; this command needs an administrator's DATABASE_URL"
        raise OperatorError(sentence) from error


def _print_warning(notice: "Diagnostic") -> None:
    if notice.severity_nonlocalized == "WARNING":
        click.echo(notice.message_primary, err=True)
