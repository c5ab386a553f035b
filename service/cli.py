"""The commands: ``python -m service COMMAND``."""

import asyncio
import errno
import json
import os
import re
import signal
import sys
from importlib.util import find_spec
from typing import Any

import asyncpg
import click
import environ
from typing_extensions import override

from service import __version__
from service.migrate.commands import migrate
from service.postgres.commands import roles
from service.problems import OperatorError, Unavailable
from service.settings import Settings, database_url
from service.telemetry import configure_logging
from service.traces import check_trace_variables
from service.users.commands import create_user, fill_email_keys

# A line of environ.generate_help().
VARIABLE = re.compile(r"(?P<name>\w+) \((Required|Optional)\): (?P<help>.+)")


class Commands(click.Group):
    """Commands whose failures reach the operator as one sentence on stderr, with exit status 1."""

    @override
    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            return super().main(*args, **extra)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            # Usually the disk of standard output. Python flushes it again at exit, which must not fail.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(f"Error: {error.strerror}")

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nInterrupted", err=True)
            ctx.exit(128 + signal.SIGINT)  # as a shell reports it; click would exit with 1, as for findings
        except Unavailable as error:
            # Its first line: the others may show a row.
            cause = str(error.__cause__ or "").partition("\n")[0]
            raise click.ClickException(str(error) if cause in str(error) else f"{error}: {cause}") from error
        except OperatorError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.filename is None:  # such as a closed pipe, with which click deals
                raise
            raise click.ClickException(f"{error.filename}: {error.strerror}") from error
        except asyncpg.PostgresError as error:
            # Its first line: the others may show a row.
            advice = "the schema may be out of date: run python -m service migrate status"
            if isinstance(error, asyncpg.InsufficientPrivilegeError):
                advice = "grant it to the role of DATABASE_URL, as the section Roles of docs/deploy.md does"
            raise click.ClickException(f"PostgreSQL says: {error.args[0]}; {advice}") from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Run a web service on PostgreSQL in plain SQL.

    Settings are environment variables; README.md lists them.
    """
    # DATABASE_URL alone says where the database is: asyncpg and libpq would complete it from PGHOST, PGSSLMODE, ….
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    # libpq ignores a home folder that it cannot read, such as root's after `sudo`; asyncpg would fail to connect.
    if not os.access(os.path.expanduser("~"), os.X_OK):  # noqa: PTH111 - Path.home() fails for a user without one
        os.environ["HOME"] = os.devnull


class SettingsCommand(click.Command):
    """A command whose help lists the settings."""

    @override
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        described = (VARIABLE.fullmatch(line) for line in environ.generate_help(Settings).splitlines())
        with formatter.section("Environment variables"):
            formatter.write_dl([(found["name"], found["help"]) for found in described if found])


@main.command(cls=SettingsCommand)
def serve() -> None:
    """Serve on HOST and PORT with WEB_CONCURRENCY workers.

    SIGTERM drains connections, then stops. With several workers, SIGHUP replaces them one at a time.
    """
    from service import server  # noqa: PLC0415 - uvicorn and Litestar are slow to import
    from service.app import from_environment  # noqa: PLC0415 - the same

    settings = Settings.read()
    check_trace_variables()  # reports an invalid OTEL_ variable here, before the workers start
    with server.serving_metrics(settings):
        server.serve(settings, server.bind(*settings.address), from_environment)


@main.command()
def clean() -> None:
    """Delete expired rows, such as login sessions.

    Works in small batches. Safe at any time, even concurrently. Run it once a day.
    """
    from service import app  # noqa: F401, PLC0415 - declares the purges
    from service.purges import run_purges  # noqa: PLC0415 - reads SQL files: the other commands must work if one is broken

    configure_logging("CRITICAL", "console")  # one sentence on stderr says what is wrong

    async def report() -> None:
        async for rows, removed, is_complete in run_purges(database_url()):
            if is_complete:
                click.echo(f"{rows}: {removed} removed")
            elif sys.stderr.isatty():  # cron would mail each line
                click.echo(f"{rows}: {removed} removed so far", err=True)

    asyncio.run(report())


@main.command()
def openapi() -> None:
    """Print the OpenAPI document.

    Clients can be generated from it. Needs no settings and no database.
    """
    from service.app import create_app  # noqa: PLC0415 - reads SQL files: the other commands must work if one is broken
    from service.http import openapi_document  # noqa: PLC0415 - Litestar is slow to import

    unused = {"DATABASE_URL": "postgresql://localhost/unused", "SECRET_KEY": "signs nothing: no token is made here"}
    click.echo(json.dumps(openapi_document(create_app(Settings.read(unused))), indent=2, ensure_ascii=False))


# A package declares its commands in commands.py; README.md lists them all.
for command in (create_user, fill_email_keys, migrate, roles):
    main.add_command(command)
if find_spec("service.dev"):  # the container image leaves the tools out
    from service.dev.commands import TOOLS

    for command in TOOLS:
        main.add_command(command)
