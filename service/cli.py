"""The commands: ``python -m service COMMAND``."""

import asyncio
import errno
import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import click
from typing_extensions import override

from service import __version__
from service.migrate.files import MigrationError
from service.postgres.queries import QueryError
from service.problems import Problem
from service.settings import Settings, database_url, wants_traces
from service.sqlbook.commands import book
from service.sqlcheck import DATABASE
from service.sqlcheck.commands import sql, stub
from service.telemetry import logging as logs

# The workers of a server that was killed need a moment to end.
SECONDS_FOR_PORT = 3.0


class Commands(click.Group):
    """Commands whose failures reach the operator as one sentence on stderr, with exit status 1."""

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (MigrationError, Problem, QueryError) as error:
            raise click.ClickException(str(error)) from error
        except asyncpg.PostgresError as error:
            # Its first line: the others may show a row.
            sentence = f"PostgreSQL says: {error.args[0]}; does the schema fit? See python -m service migrate status"
            raise click.ClickException(sentence) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Run a web service on PostgreSQL in plain SQL.

    Settings are environment variables; README.md lists them.
    """


@main.command()
def dev() -> None:
    """Serve on an embedded PostgreSQL, reload edited files, and check edited queries.

    Adds a demo user. Uses DATABASE_URL instead where it is set; reads .env.
    """
    import uvicorn  # noqa: PLC0415 - 45 ms, and no other command wants a server

    from service.dev.server import prepared  # noqa: PLC0415 - production does not install what it needs
    from service.server import serve as server  # noqa: PLC0415 - the same

    with prepared() as (host, port), _metrics(Settings.read()):
        bind(host, port).close()
        uvicorn.run(
            "service.dev.checked:from_environment",
            factory=True,
            host=host,
            port=port,
            reload=True,
            reload_dirs=[str(Path(__file__).parent)],
            timeout_graceful_shutdown=2,
            **server.OPTIONS,
        )


@main.command()
def serve() -> None:
    """Serve on HOST and PORT with WEB_CONCURRENCY workers.

    SIGTERM drains and ends, SIGHUP replaces the workers of several by turns.
    """
    from service.server import serve as server  # noqa: PLC0415 - 45 ms, as for `dev`

    settings = Settings.read()
    wants_traces()
    with _metrics(settings):
        server.serve(settings, bind(*settings.address))


@contextmanager
def _metrics(settings: Settings) -> Iterator[None]:
    """Have metrics within the context, where METRICS_PORT or METRICS_TOKEN asks for them."""
    if settings.metrics_port is None and settings.metrics_token is None:
        yield
        return
    from service.telemetry.prometheus import exposed  # noqa: PLC0415 - prometheus-client takes 40 ms to import

    if settings.metrics_port is not None:
        bind(settings.address[0], settings.metrics_port, "METRICS_PORT names another one").close()
    with exposed(settings):
        yield


def bind(host: str, port: int, advice: str = "HOST and PORT name another place") -> socket.socket:
    """Bind a socket to the port once it is free.

    Raises click.ClickException, which ends with `advice`, where uvicorn would only log what is wrong.
    """
    deadline = time.monotonic() + SECONDS_FOR_PORT
    told = False
    while True:
        door = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((host, port))
        except OSError as error:
            door.close()
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                sentence = f"Cannot listen on {host}, port {port}: {error.strerror}; {advice}"
                raise click.ClickException(sentence) from error
            if not told:
                click.echo(f"Waiting for port {port}: another process has it", err=True)
            told = True
            time.sleep(0.05)
        else:
            return door


@main.command()
@click.argument("action", type=click.Choice(["apply", "status", "rollback"]), default="apply")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many to roll back.")
def migrate(action: str, count: int) -> None:
    """Apply the pending migrations, list all, or roll back.

    Safe to run from many places at once, and after a run that was killed.
    """
    from service.migrate import runner as migrations  # noqa: PLC0415 - yoyo takes 0.1 s to import

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
    logs.configure("CRITICAL", "console")  # one sentence on stderr tells what is wrong
    created = asyncio.run(ensure_user(database_url(), email, password))
    click.echo(f"{email}: created" if created else f"{email}: has an account already, left as it is")


@main.command()
def clean() -> None:
    """Remove what is over: sessions, failed log-ins, Idempotency-Keys.

    Safe at any time and from many places at once; once a day is enough.
    """
    from service.clean import clean as remove  # noqa: PLC0415 - as above

    async def tell() -> None:
        async for kind, removed, all_of_them in remove(database_url()):
            click.echo(f"{kind}: {removed} removed{'' if all_of_them else ' so far'}", err=not all_of_them)

    asyncio.run(tell())


@main.command()
@click.option("--apply", is_flag=True, help="Run it on DATABASE_URL, as an administrator of the server.")
def roles(*, apply: bool) -> None:
    """Print the SQL of three roles: one migrates, one serves, one looks.

    Each has the least that it needs. It belongs in a database before the first migration, and may be run again.
    """
    from service.postgres import roles as least  # noqa: PLC0415 - psycopg takes 0.1 s to import, and 10 MB

    if apply:
        try:
            least.apply(database_url(), report=lambda line: click.echo(line, err=True))
        except least.RolesError as error:
            raise click.ClickException(str(error)) from error
        click.echo("service_owner, service_app and service_reader are there; psql's \\password sets their passwords")
    else:
        click.echo(least.read(), nl=False)


@main.command()
def openapi() -> None:
    """Print the OpenAPI document, from which clients are generated.

    Needs no settings and no database.
    """
    from service.app import create_app  # noqa: PLC0415 - reads SQL files, which may be what is broken
    from service.http.openapi import openapi_document  # noqa: PLC0415 - Litestar takes 0.2 s to import

    unused = {"DATABASE_URL": "postgresql://localhost/unused", "SECRET_KEY": "signs nothing: no token is made here"}
    click.echo(json.dumps(openapi_document(create_app(Settings.read(unused))), indent=2, ensure_ascii=False))


@main.command()
@click.argument("name")
@click.argument("fields", nargs=-1, required=True, metavar="FIELD:TYPE...")
@click.option("--no-owner", is_flag=True, help="What is made is everybody's who is logged in.")
@click.option("--singular", help="What one of them is called; NAME without its 's' unless given.")
@DATABASE
def new(name: str, fields: tuple[str, ...], no_owner: bool, singular: str | None, database_url: str | None) -> None:  # noqa: FBT001 - click's
    """Write the files of another resource, to be edited.

    NAME is a plural, toys; types are text, integer, bigint, numeric, boolean, date, timestamptz and uuid. Writes a
    migration, five queries, models, a controller and tests, registers them, and does what `sql stub` does. Overwrites
    nothing.
    """
    from service.dev.scaffold.resource import read_resource  # noqa: PLC0415 - production has not what it needs
    from service.dev.scaffold.writing import write  # noqa: PLC0415 - the same

    for path in write(read_resource(name, fields, singular=singular, owned=not no_owner)):
        click.echo(path)
    click.get_current_context().invoke(stub, database_url=database_url)


@main.command()
@click.argument("name")
def rename(name: str) -> None:
    """Give this package another name, in every file that knows it.

    Changes no migration, and no sentence. docs/your-own.md says what else makes the project yours.
    """
    from service.dev import rename as renaming  # noqa: PLC0415 - for whoever takes the project over, once

    changed = renaming.rename(name)
    click.echo(f"{len(changed)} files changed; the commands are python -m {name} now")


sql.add_command(book)
main.add_command(sql)
