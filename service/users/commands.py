"""The command ``create-user``."""

import asyncio
import sys

import click

from service.settings import database_url
from service.telemetry import configure_logging


@click.command("create-user")
@click.argument("email", envvar="FIRST_SUPERUSER_EMAIL")
@click.option("--password", envvar="FIRST_SUPERUSER_PASSWORD", help="Better in the environment, or typed when asked.")
def create_user(email: str, password: str | None) -> None:
    """Add a user if EMAIL has no account yet.

    Safe to run at every deploy. EMAIL and the password are also read from FIRST_SUPERUSER_EMAIL and
    FIRST_SUPERUSER_PASSWORD.
    """
    from service.users.initial import ensure_user  # noqa: PLC0415 - reads SQL files, which may be what is broken

    if password is None:
        if not sys.stdin.isatty():
            raise click.ClickException("FIRST_SUPERUSER_PASSWORD must be set, where nobody can be asked")
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    configure_logging("CRITICAL", "console")  # one sentence on stderr says what is wrong
    created = asyncio.run(ensure_user(database_url(), email, password))
    click.echo(f"{email}: created" if created else f"{email}: has an account already, left as it is")
