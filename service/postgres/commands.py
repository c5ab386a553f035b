"""The command ``roles``."""

import click

from service.settings import database_url


@click.command()
@click.option("--apply", is_flag=True, help="Run the SQL on DATABASE_URL, as an administrator of the server.")
def roles(*, apply: bool) -> None:
    """Print or apply the SQL that creates three database roles.

    The owner migrates, the service reads and writes rows, the reader only reads; each has only the privileges it
    needs. Run it before the first migration; it can be run again at any time.
    """
    from service.postgres import roles as role_sql  # noqa: PLC0415 - psycopg is slow to import

    if apply:
        role_sql.apply(database_url(), report=lambda warning: click.echo(warning, err=True))
        click.echo("service_owner, service_app and service_reader exist; set their passwords with psql's \\password")
    else:
        click.echo(role_sql.read_sql(), nl=False)
