"""The commands: ``python -m service COMMAND``."""

import asyncio

import click
import uvicorn

from service import __version__
from service.settings import Settings, database_url

APP = "service.app:from_environment"
# Platforms give 30 s between SIGTERM and SIGKILL.
SECONDS_TO_FINISH = 20


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """A web service on PostgreSQL in plain SQL.

    Settings are environment variables; README.md lists them.
    """


@main.command()
def dev() -> None:
    """Serve on an embedded PostgreSQL, with a demo user, and reload what is edited.

    Uses DATABASE_URL instead where it is set; reads .env.
    """
    # Only here: production does not install what `dev` needs.
    from service.dev.server import run

    run()


@main.command()
def serve() -> None:
    """Serve on HOST and PORT with WEB_CONCURRENCY workers."""
    settings = Settings.read()
    host, port = settings.address
    uvicorn.run(
        APP,
        factory=True,
        host=host,
        port=port,
        workers=settings.web_concurrency,
        lifespan="on",
        log_config=None,
        access_log=False,
        # TRUSTED_PROXY_HOPS decides whom to believe; uvicorn would take the entry that the client made.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )


@main.command()
@click.argument("action", type=click.Choice(["apply", "status", "rollback"]), default="apply")
@click.option("--count", type=click.IntRange(min=1), default=1, help="How many to roll back.  [default: 1]")
def migrate(action: str, count: int) -> None:
    """Apply the pending migrations, show where the database stands, or roll the newest back.

    Safe to run from many places at once, and after a run that was killed.
    """
    from service import migrate as migrations

    url = database_url()
    if action == "apply":
        migrations.apply(url, report=click.echo)
    elif action == "rollback":
        migrations.rollback(url, count=count, report=click.echo)
    else:
        states = migrations.status(url)
        for each in states:
            click.echo(f"{each.state:8} {each.id} {each.applied_at or ''}".rstrip())
        # What a deploy has to mend is no success; a database ahead of the code is none of its business.
        if any(each.state in {"pending", "edited"} for each in states):
            raise SystemExit(1)


@main.command("create-user")
@click.argument("email", envvar="FIRST_SUPERUSER_EMAIL")
@click.password_option(
    envvar="FIRST_SUPERUSER_PASSWORD", help="Better in FIRST_SUPERUSER_PASSWORD, or typed when asked."
)
def create_user(email: str, password: str) -> None:
    """Add a user if EMAIL has no account yet; safe to run at every deploy.

    EMAIL and the password are also read from FIRST_SUPERUSER_EMAIL and FIRST_SUPERUSER_PASSWORD.
    """
    from service.users.initial import ensure_user

    created = asyncio.run(ensure_user(database_url(), email, password))
    click.echo(f"{email}: created" if created else f"{email}: has an account already, left as it is")
