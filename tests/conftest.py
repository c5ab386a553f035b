"""One PostgreSQL a test run, one migrated database a worker, one transaction, rolled back, a test.

Tests that need commits, several connections or processes take ``own_database_url``: a database for that test alone.
"""

import logging
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from pytest_postgresql import factories
from pytest_postgresql.executors import NoopExecutor
from pytest_postgresql.janitor import DatabaseJanitor

from service.app import CONTROLLERS, Service, create_app
from service.embedded.server import EmbeddedPostgres, EmbeddedPostgresError, embedded_postgres
from service.migrate import runner as migrate
from service.postgres import pool as connections
from service.postgres.database import Database, Rows
from service.postgres.pool import Pool, changed
from service.postgres.queries import Count, Query
from service.settings import Settings
from tests.support.black_box import ada, base_url, http  # noqa: F401 - fixtures
from tests.support.factories import Committed, Factory, LoggedIn, service_client
from tests.support.kites import KitesController
from tests.support.processes import checkout, served, start  # noqa: F401 - fixtures

pytest_plugins = ["tests.support.checkouts"]

# Speed instead of durability, for a server that is thrown away.
SERVER_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "300"}
# With SQL_RAN, PostgreSQL notes what runs: each query's text begins with its name. What psql runs, no code has run.
NOTING = {
    "log_statement": "all",
    "log_line_prefix": "%a|",
    "log_min_messages": "log",
    "log_parameter_max_length": "0",
}
RAN = re.compile(r"^(?!psql)[^|\n]*\|LOG:  execute [^:]+: -- (\w+\.\w+): ", re.MULTILINE)
# What takes longest begins first, heaviest first: at the end, one core would wait for it.
LONGEST = ("test_your_own.py", "test_image.py", "test_tutorial.py", "test_scaffold.py", "test_rename.py")
SERVER = pytest.StashKey[ExitStack]()
NUMBERS = count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Start PostgreSQL once, in the process that began the run; the workers of xdist find it in the environment."""
    # A job in the background of a shell ignores Ctrl-C, and so would every process that the tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        stack = config.stash[SERVER] = ExitStack()
        memory = "/dev/shm"  # noqa: S108 - the folder in it is our own
        # A container's may have 64 MB; a worker's databases want more.
        roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**30
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tests-", dir=memory if roomy else None))
        ran = os.environ.get("SQL_RAN")
        settings = SERVER_SETTINGS | (NOTING if ran else {})
        try:
            server = stack.enter_context(embedded_postgres(Path(folder) / "postgres", settings))
        except EmbeddedPostgresError as error:
            raise pytest.UsageError(str(error)) from error
        if ran:
            stack.callback(_note_queries, Path(folder) / "postgres" / "log", Path(ran))
        os.environ["TEST_POSTGRES"] = f"{server.socket_directory}:{server.port}:{server.user}:{server.binaries}"
    config.option.postgresql_host, config.option.postgresql_port, config.option.postgresql_user, _ = _server_parts()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop it."""
    if stack := config.stash.get(SERVER, None):
        stack.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def _note_queries(log: Path, ran: Path) -> None:
    """Add the names of the queries that ran to those of earlier runs, one a line, for `sql check --ran`."""
    earlier = ran.read_text(encoding="utf-8").split() if ran.exists() else []
    names = {*earlier, *RAN.findall(log.read_text(encoding="utf-8", errors="replace"))}
    ran.write_text("".join(f"{name}\n" for name in sorted(names)), encoding="utf-8")


def _server_parts() -> list[str]:
    return os.environ["TEST_POSTGRES"].split(":")


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """Put back what a command sets for its whole process, and that is this one where a test calls it here."""
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


@pytest.fixture(scope="session")
def server() -> EmbeddedPostgres:
    """Return the run's PostgreSQL."""
    socket_directory, port, user, binaries = _server_parts()
    return EmbeddedPostgres(Path(socket_directory), int(port), user, Path(binaries))


def migrated(*, host: str, port: int, user: str, dbname: str, **_: object) -> None:
    """Migrate the template that databases are cloned from."""
    migrate.apply(f"postgresql://{user}@/{dbname}?host={host}&port={port}", report=lambda _: None)


# pytest-postgresql's: a migrated template for each worker.
template = factories.postgresql_noproc(load=[migrated])


@contextmanager
def cloned(template: NoopExecutor, server: EmbeddedPostgres, *, migrated: bool = True) -> Iterator[str]:
    """Lend the URL of a new database, a clone of the template or an empty one."""
    name = f"{template.dbname}_{next(NUMBERS)}"
    janitor = DatabaseJanitor(
        user=template.user,
        host=template.host,
        port=template.port,
        dbname=name,
        template_dbname=template.template_dbname if migrated else None,
    )
    with janitor:
        yield server.url(name)


@pytest.fixture(scope="session")
def database_url(template: NoopExecutor, server: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of the database that this worker's tests share, each in a transaction of its own."""
    with cloned(template, server) as url:
        yield url


@pytest.fixture
def own_database_url(template: NoopExecutor, server: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of a migrated database that no other test sees."""
    with cloned(template, server) as url:
        yield url


@pytest.fixture(scope="session")
def served_database_url(template: NoopExecutor, server: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of the database of the `served` process, where this worker's tests leave what they commit."""
    with cloned(template, server) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(template: NoopExecutor, server: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of a migrated database that the tests of one module share."""
    with cloned(template, server) as url:
        yield url


@pytest.fixture
def empty_database_url(template: NoopExecutor, server: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of a database with nothing in it."""
    with cloned(template, server, migrated=False) as url:
        yield url


class OneTransaction:
    """Lends a single connection, in a transaction that is rolled back after the test; each loan is a savepoint."""

    connection: asyncpg.Connection

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Have nothing to open: the test's fixture does."""
        yield

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run a statement; what a refused one did is undone, as if it had been committed alone."""
        async with self.connection.transaction():
            if isinstance(query, Count):
                return changed(await self.connection.execute(query.sql, *arguments))
            return await self.connection.fetch(query.sql, *arguments)


def make_settings(url: str, **environment: str) -> Settings:
    """Return settings for the database at `url`, and otherwise the defaults or those of `environment`."""
    return Settings.read({"DATABASE_URL": url, "SECRET_KEY": "a key that is used by nothing but tests"} | environment)


@pytest.fixture(scope="session")
def one_transaction() -> OneTransaction:
    """Return what lends this worker's connection."""
    return OneTransaction()


@pytest.fixture(scope="session")
def app(database_url: str, one_transaction: OneTransaction) -> Service:
    """Return the service on the worker's database. Its start and end are for the tests of real processes."""
    return create_app(make_settings(database_url), one_transaction)


@pytest.fixture(scope="session")
async def _connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def connection(
    _connection: asyncpg.Connection, one_transaction: OneTransaction
) -> AsyncIterator[asyncpg.Connection]:
    """Return the connection that this test's requests use, in a transaction that is rolled back."""
    transaction = _connection.transaction()
    await transaction.start()
    one_transaction.connection = _connection
    yield _connection
    await transaction.rollback()


@pytest.fixture
async def client(app: Service, connection: asyncpg.Connection) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 - its transaction
    """Return a client of the service; what it does is rolled back after the test."""
    async with service_client(app) as client:
        yield client


@pytest.fixture(scope="session")
def app_with_kites(database_url: str, one_transaction: OneTransaction) -> Service:
    """Return the service with a controller more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.app.CONTROLLERS", [*CONTROLLERS, KitesController])
        return create_app(make_settings(database_url), one_transaction)


@pytest.fixture
async def kites(app_with_kites: Service, connection: asyncpg.Connection) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 - its transaction
    """Return a client of the service with a controller more; what it does is rolled back after the test."""
    async with service_client(app_with_kites) as client:
        yield client


@pytest.fixture
def make(app: Service, connection: asyncpg.Connection) -> Factory:
    """Return what makes users and pets in this test's transaction."""
    return Factory(app, connection)


@pytest.fixture
async def user(make: Factory) -> LoggedIn:
    """Return a user who is logged in."""
    return await make.user()


@pytest.fixture(scope="session")
def committing_app(database_url: str) -> Service:
    """Return the service that ``committed`` gives to each test with another database: to make one takes 60 ms."""
    return create_app(make_settings(database_url))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests wait as long as a busy machine needs, where that is no part of what is tested."""
    monkeypatch.setattr(connections, "WAIT", 10)
    # Longer than WAIT, else nothing that lost to others would run again.
    monkeypatch.setattr(connections, "ANSWER", 30)


@pytest.fixture
async def committed(
    committing_app: Service,
    own_database_url: str,
    patient: None,  # noqa: ARG001 - for the pool
) -> AsyncIterator[Committed]:
    """Return the service on a database of this test's own, with a pool."""
    pool = Pool(own_database_url, size=10)
    committing_app.db = Database(pool)
    connection = await asyncpg.connect(own_database_url)
    async with pool.open(), service_client(committing_app) as client:
        yield Committed(client, Factory(committing_app, connection), connection)
    await connection.close()
