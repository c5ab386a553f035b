"""``make dev``: the service on a machine that has nothing but Python."""

import asyncio
import os
import secrets
import signal
from contextlib import ExitStack, suppress
from pathlib import Path

import click
import psycopg
import uvicorn
from dotenv import load_dotenv
from psycopg.errors import DuplicateDatabase

from service import migrate
from service.auth.passwords import Passwords
from service.database import Database, Pool
from service.dev.embedded import embedded_postgres
from service.queries import SQL, count
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
# The database and the secret key of this checkout; not in git.
KEPT = ROOT / ".dev"
DATABASE = "service"
DEMO_EMAIL, DEMO_PASSWORD = "demo@example.com", "only for this demo"
DEMO_PETS = ["Ada", "Bello", "Minka", "Tadeusz"]

ADD_DEMO_DATA = count("dev.add_demo_data")


def run() -> None:
    """Serve with reload until Ctrl-C or SIGTERM; the embedded server stops too.

    Raises click.ClickException where it cannot start.
    """
    # Until uvicorn listens to it, SIGTERM must unwind what was begun.
    signal.signal(signal.SIGTERM, lambda *_: exit(128 + signal.SIGTERM))
    load_dotenv(ROOT / ".env")
    with ExitStack() as stack:
        psql = _database(stack)
        url = os.environ["DATABASE_URL"]
        os.environ.setdefault("SECRET_KEY", _kept_secret())
        os.environ.setdefault("LOG_FORMAT", "console")
        host, port = Settings.read().address
        migrate.apply(url, report=click.echo)
        asyncio.run(_add_demo_data(url))
        base = f"http://{host}:{port}"
        for label, value in [
            ("API docs", base),
            ("Demo login", f"{DEMO_EMAIL} / {DEMO_PASSWORD}"),
            ("Database", psql),
            ("Stop", "Ctrl-C"),
        ]:
            click.echo(click.style(f"{label:11}", bold=True) + value)
        uvicorn.run(
            "service.app:from_environment",
            factory=True,
            host=host,
            port=port,
            lifespan="on",
            log_config=None,
            proxy_headers=False,
            reload=True,
            reload_dirs=[str(ROOT / "service"), str(SQL)],
            reload_includes=["*.py", "*.sql"],
            timeout_graceful_shutdown=2,
        )


def _database(stack: ExitStack) -> str:
    """Start the embedded server unless DATABASE_URL names one; return the line that opens psql."""
    if "DATABASE_URL" in os.environ:
        return 'psql "$DATABASE_URL"'
    click.echo("Starting PostgreSQL 18 …")
    server = stack.enter_context(embedded_postgres(KEPT / "postgres"))
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection, suppress(DuplicateDatabase):
        connection.execute(f"create database {DATABASE}")
    os.environ["DATABASE_URL"] = server.url(DATABASE)
    return server.psql(DATABASE)


def _kept_secret() -> str:
    """Return this checkout's secret key, made at the first start, so that a restart logs nobody out."""
    path = KEPT / "secret_key"
    KEPT.mkdir(exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()


async def _add_demo_data(url: str) -> None:
    pool, passwords = Pool(url), Passwords()
    async with pool.open():
        await Database(pool).count(ADD_DEMO_DATA, DEMO_EMAIL, await passwords.hash(DEMO_PASSWORD), DEMO_PETS)
    passwords.close()
