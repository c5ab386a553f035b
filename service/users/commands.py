"""The commands ``create-user`` and ``fill-email-keys``."""

import asyncio
import sys

import click

from service.settings import database_url
from service.telemetry import configure_logging


@click.command("create-user")
@click.argument("email", envvar="FIRST_SUPERUSER_EMAIL")
@click.option(
    "--password",
    envvar="FIRST_SUPERUSER_PASSWORD",
    help="Visible to other processes: prefer FIRST_SUPERUSER_PASSWORD or the prompt.",
)
def create_user(email: str, password: str | None) -> None:
    """Create a user unless EMAIL has an account.

    Safe to run at every deploy. EMAIL and the password are also read from FIRST_SUPERUSER_EMAIL and
    FIRST_SUPERUSER_PASSWORD; despite these names, the user has no special privileges.
    """
    from service.users.first_user import ensure_user  # noqa: PLC0415 - reads SQL files: the other commands must work if one is broken

    if password is None:
        if not sys.stdin.isatty():
            raise click.ClickException("FIRST_SUPERUSER_PASSWORD must be set if there is no terminal")
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    configure_logging("CRITICAL", "console")  # one sentence on stderr says what is wrong
    created = asyncio.run(ensure_user(database_url(), email, password))
    click.echo(f"{email}: created" if created else f"{email}: has an account already; nothing was changed")


@click.command("fill-email-keys")
def fill_email_keys() -> None:
    """Fill user_model.email_key where it is null.

    Needed before the column becomes unique. Skips and reports each account that shares its mailbox with another one;
    the exit status is then 1. Safe to interrupt and run again, even while the service runs.
    """
    from service.users.email_keys import fill_email_keys as fill  # noqa: PLC0415 - it reads SQL files as well

    configure_logging("CRITICAL", "console")

    async def report() -> tuple[int, int]:
        filled = skipped = 0
        async for number, collisions in fill(database_url()):
            filled, skipped = filled + number, skipped + len(collisions)
            for account, key in collisions:
                click.echo(f"{account.email} ({account.id}) and another account share the mailbox {key}", err=True)
            if sys.stderr.isatty():
                click.echo(f"{filled} filled so far", err=True)
        return filled, skipped

    filled, skipped = asyncio.run(report())
    click.echo(f"{filled} filled")
    if skipped:
        raise click.ClickException(
            f"{skipped} accounts were skipped: of each pair, delete one or change its address, then run this again"
        )
