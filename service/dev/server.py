"""Prepares ``make dev``: database, settings and demo data, on a machine with only Python."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import click
import psycopg
from dotenv import load_dotenv
from psycopg import sql
from psycopg.errors import DuplicateDatabase

from service import migrate
from service.embedded import MISSING_EXTENSION, embedded_postgres
from service.postgres import SQL, psycopg_conninfo
from service.problems import OperatorError
from service.settings import Settings
from service.users.first_user import ensure_user

ROOT = Path(__file__).resolve().parents[2]
# Contains the database and the secret key of this checkout; ignored by git.
DEV_DIRECTORY = ROOT / ".dev"
DATABASE = "service"
DEMO_EMAIL, DEMO_PASSWORD = "demo@example.com", "only for this demo"
DELETE_DEMO_USER = sql.SQL("delete from user_model where email = {}").format(DEMO_EMAIL)


@contextmanager
def prepare() -> Iterator[tuple[str, int]]:
    """Prepare a migrated database with demo data, and print how to use it; yield host and port to serve on.

    Sets environment variables for the serving processes. The embedded server stops at the end of the context. Raises
    OperatorError.
    """
    # Until uvicorn handles SIGTERM, exit by an exception, so that the context managers stop PostgreSQL.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    load_dotenv(ROOT / ".env")
    with ExitStack() as stack:
        psql = _database(stack)
        url = os.environ["DATABASE_URL"]
        os.environ["SECRET_KEY"] = os.environ.get("SECRET_KEY") or _secret_key()
        os.environ["LOG_FORMAT"] = os.environ.get("LOG_FORMAT") or "console"
        os.environ["DRAIN_SECONDS"] = "0"  # no load balancer has to notice a reload
        # Even if PORT is set, because the password of the demo user is public.
        os.environ["HOST"] = os.environ.get("HOST") or "127.0.0.1"
        host, port = Settings.read().address
        _migrate(url)
        asyncio.run(add_demo_data(url))
        for label, value in [
            ("API docs", f"http://{host}:{port}"),
            ("Demo user", f'{DEMO_EMAIL}, password "{DEMO_PASSWORD}"'),
            ("Database", psql),
            ("Stop", "Ctrl-C"),
        ]:
            click.echo(click.style(f"{label:11}", bold=True) + value)
        yield host, port


def _migrate(url: str) -> None:
    """Apply the migrations. Raises MigrationError."""
    try:
        migrate.apply(url, report=click.echo)
    except migrate.MigrationError as error:
        if MISSING_EXTENSION.search(str(error)):
            raise migrate.MigrationError(f"{error}; set DATABASE_URL to a server that has it") from error
        raise


def _database(stack: ExitStack) -> str:
    """Start the embedded server unless DATABASE_URL is set; return the command that opens psql."""
    if os.environ.get("DATABASE_URL"):
        return 'psql "$DATABASE_URL"'
    click.echo("Starting PostgreSQL 18 …")
    server = stack.enter_context(embedded_postgres(DEV_DIRECTORY / "postgres"))
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection, suppress(DuplicateDatabase):
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
    os.environ["DATABASE_URL"] = server.url(DATABASE)
    return server.psql(DATABASE)


def _secret_key() -> str:
    """Return the secret key of this checkout, created at the first start, so that sessions survive a restart."""
    path = DEV_DIRECTORY / "secret_key"
    DEV_DIRECTORY.mkdir(exist_ok=True)
    path.touch(mode=0o600)
    if not path.read_text():
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()


async def add_demo_data(url: str) -> None:
    """Add the demo user and, if it is new, the rows of each ``sql/<feature>/dev/demo.sql``: both, or neither."""
    if not await ensure_user(url, DEMO_EMAIL, DEMO_PASSWORD):
        return
    with psycopg.connect(psycopg_conninfo(url), autocommit=True) as connection:
        try:
            with connection.transaction(), psycopg.RawCursor(connection) as cursor:
                for path in sorted(SQL.glob("*/dev/demo.sql")):
                    _run(cursor, path)
        except BaseException:  # Ctrl-C, too: the next start tries again
            connection.execute(DELETE_DEMO_USER)
            raise


def _run(cursor: psycopg.RawCursor[Any], path: Path) -> None:
    try:
        cursor.execute(path.read_bytes(), [DEMO_EMAIL])
    except psycopg.Error as error:
        raise OperatorError(f"{path.relative_to(SQL.parent)}: PostgreSQL says: {error.diag.message_primary}") from error
