"""The service in this process: on one connection whose transaction is rolled back, or on its own database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest

from service.app import CONTROLLERS, Service, create_app
from service.postgres.database import Database, Executor, Rows
from service.postgres.pool import Pool, affected_rows
from service.postgres.queries import Count, Query
from service.settings import Settings
from service.timeouts import DATABASE_TIMEOUTS
from tests.support import api
from tests.support.factories import Committed, Factory, LoggedIn, service_client
from tests.support.kites import KitesController
from tests.support.pools import PATIENT
from tests.support.processes import SECRET_KEY


class Savepoint:
    """The transaction of a handler: as in production, an error that the handler catches still undoes it."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.error: Exception | None = None

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run a statement."""
        try:
            if isinstance(query, Count):
                return affected_rows(await self.connection.execute(query.sql, *arguments))
            return await self.connection.fetch(query.sql, *arguments)
        except Exception as error:
            self.error = self.error or error
            raise


class OneTransaction:
    """A pool of one connection, in a transaction that is rolled back after the test; each use is a savepoint."""

    connection: asyncpg.Connection
    timeouts = DATABASE_TIMEOUTS

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Do nothing: the test's fixture opens the connection."""
        yield

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Executor]:
        """Run the statements of the context in a savepoint."""
        async with self.connection.transaction():
            savepoint = Savepoint(self.connection)
            yield savepoint
            if savepoint.error:
                raise savepoint.error

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run a statement; an error undoes only that statement, as if it had its own transaction."""
        async with self.transaction() as savepoint:
            return await savepoint.fetch(query, arguments)


def make_settings(url: str, **environment: str) -> Settings:
    """Return settings for the database at `url`, with defaults or the values in `environment`."""
    return Settings.read({"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY, **api.SETTINGS, **environment})


@pytest.fixture(scope="session")
def one_transaction() -> OneTransaction:
    """Return a pool of this worker's connection."""
    return OneTransaction()


@pytest.fixture(scope="session")
def app(database_url: str, one_transaction: OneTransaction) -> Service:
    """Return the service on the worker's database. Tests of real processes cover startup and shutdown."""
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
    """Return the connection of this test's requests, in a transaction that is rolled back."""
    transaction = _connection.transaction()
    await transaction.start()
    one_transaction.connection = _connection
    yield _connection
    await transaction.rollback()


@pytest.fixture
async def client(app: Service, connection: asyncpg.Connection) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 - begins the transaction
    """Return a client of the service; its changes are rolled back after the test."""
    async with service_client(app) as client:
        yield client


@pytest.fixture(scope="session")
def app_with_kites(database_url: str, one_transaction: OneTransaction) -> Service:
    """Return the service with one more controller."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.app.CONTROLLERS", [*CONTROLLERS, KitesController])
        return create_app(make_settings(database_url), one_transaction)


@pytest.fixture
async def kites(app_with_kites: Service, connection: asyncpg.Connection) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 - begins the transaction
    """Return a client of the service with one more controller; its changes are rolled back after the test."""
    async with service_client(app_with_kites) as client:
        yield client


@pytest.fixture
def make(app: Service, connection: asyncpg.Connection) -> Factory:
    """Return a factory of users in this test's transaction."""
    return Factory(app, connection)


@pytest.fixture
async def user(make: Factory) -> LoggedIn:
    """Return a logged-in user."""
    return await make.user()


@pytest.fixture(scope="session")
def committing_app(database_url: str) -> Service:
    """Return the service shared by all uses of ``committed``, which give it a database each: creating it is slow."""
    return create_app(make_settings(database_url))


@pytest.fixture
async def committed(
    committing_app: Service,
    own_database_url: str,
) -> AsyncIterator[Committed]:
    """Return the service on this test's own database, with a pool."""
    pool = Pool(own_database_url, size=10, timeouts=PATIENT)
    committing_app.db = Database(pool)
    connection = await asyncpg.connect(own_database_url)
    async with pool.open(), service_client(committing_app) as client:
        yield Committed(client, Factory(committing_app, connection), connection)
    await connection.close()
