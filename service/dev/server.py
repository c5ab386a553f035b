"""``make dev``: the service on a machine that has nothing but Python."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import click
import psycopg
from dotenv import load_dotenv
from psycopg import sql
from psycopg.errors import DuplicateDatabase

from service import migrate
from service.embedded import EmbeddedPostgresError, embedded_postgres
from service.postgres import SQL, psycopg_conninfo
from service.settings import Settings
from service.users.ensure_user import ensure_user

ROOT = Path(__file__).resolve().parents[2]
# The database and the secret key of this checkout; not in git.
KEPT = ROOT / ".dev"
DATABASE = "service"
DEMO_EMAIL, DEMO_PASSWORD = "demo@example.com", "only for this demo"


@contextmanager
def prepared() -> Iterator[tuple[str, int]]:
    """Have a migrated database with demo data, and tell how to use it; give host and port to serve on.

    What the processes that serve need to know stands in the environment. The embedded server stops with the context.
    Raises click.ClickException or MigrationError.
    """
    # Until uvicorn listens to it, SIGTERM must unwind what was begun.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    load_dotenv(ROOT / ".env")
    with ExitStack() as stack:
        psql = _database(stack)
        url = os.environ["DATABASE_URL"]
        os.environ["SECRET_KEY"] = os.environ.get("SECRET_KEY") or _kept_secret()
        os.environ["LOG_FORMAT"] = os.environ.get("LOG_FORMAT") or "console"
        os.environ["DRAIN_SECONDS"] = "0"  # nobody is to be told of a reload
        # Also where PORT is set: everyone knows the demo user's password.
        os.environ["HOST"] = os.environ.get("HOST") or "127.0.0.1"
        host, port = Settings.read().address
        migrate.apply(url, report=click.echo)
        asyncio.run(_add_demo_data(url))
        for label, value in [
            ("API docs", f"http://{host}:{port}"),
            ("Demo login", f"{DEMO_EMAIL} / {DEMO_PASSWORD}"),
            ("Database", psql),
            ("Stop", "Ctrl-C"),
        ]:
            click.echo(click.style(f"{label:11}", bold=True) + value)
        yield host, port


def _database(stack: ExitStack) -> str:
    """Start the embedded server unless DATABASE_URL names one; return the line that opens psql."""
    if os.environ.get("DATABASE_URL"):
        return 'psql "$DATABASE_URL"'
    click.echo("Starting PostgreSQL 18 …")
    try:
        server = stack.enter_context(embedded_postgres(KEPT / "postgres"))
    except EmbeddedPostgresError as error:
        raise click.ClickException(str(error)) from error
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection, suppress(DuplicateDatabase):
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
    os.environ["DATABASE_URL"] = server.url(DATABASE)
    return server.psql(DATABASE)


def _kept_secret() -> str:
    """Return this checkout's secret key, made at the first start, so that a restart logs nobody out."""
    path = KEPT / "secret_key"
    KEPT.mkdir(exist_ok=True)
    path.touch(mode=0o600)
    if not path.read_text():
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()


async def _add_demo_data(url: str) -> None:
    """Add the demo user, and, if it is new, the rows of each ``sql/<feature>/dev/demo.sql``."""
    if await ensure_user(url, DEMO_EMAIL, DEMO_PASSWORD):
        with psycopg.connect(psycopg_conninfo(url)) as connection, psycopg.RawCursor(connection) as cursor:
            for path in sorted(SQL.glob("*/dev/demo.sql")):
                cursor.execute(path.read_bytes(), [DEMO_EMAIL])
