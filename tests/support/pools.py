"""Pools on the worker's database, and queries that show which backend ran them."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import asyncpg
import pytest

from service.embedded import EmbeddedPostgres
from service.postgres.database import Database
from service.postgres.pool import Pool
from service.postgres.queries import Value
from service.timeouts import DatabaseTimeouts
from tests.support.statements import Statements

Backend = Value[..., int]
# Longer than a busy machine needs; tests of a timeout set their own.
PATIENT = DatabaseTimeouts(acquire=10, query=30)


class Opening(Protocol):
    """Opens a pool until the end of the test."""

    async def __call__(self, url: str = "", *, timeouts: DatabaseTimeouts = PATIENT, **options: Any) -> Database:  # noqa: ANN401 - parameters of Pool
        """Return a database that uses the pool."""


@pytest.fixture
async def opening(database_url: str) -> AsyncIterator[Opening]:
    """Return a function that opens a pool on the worker's database or another one."""
    async with AsyncExitStack() as stack:

        async def opening(url: str = "", *, timeouts: DatabaseTimeouts = PATIENT, **options: Any) -> Database:  # noqa: ANN401 - parameters of Pool
            pool = Pool(url or database_url, timeouts=timeouts, **options)
            await stack.enter_async_context(pool.open())
            return Database(pool)

        yield opening


@pytest.fixture
async def admin(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Return a connection outside the pool."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
def statement(tmp_path: Path) -> Statements:
    return Statements(tmp_path)


@pytest.fixture
def backend(statement: Statements) -> Backend:
    """Return a query whose result is the pid of its backend."""
    return Value(statement("value integer", "select pg_backend_pid()"), int)


@pytest.fixture
def sleep(statement: Statements) -> Backend:
    """Return a query that takes the given number of seconds."""
    return Value(statement("value integer", "select 0 from pg_sleep($1)", "seconds float8"), int)


@pytest.fixture
def write_slowly(statement: Statements) -> Backend:
    """Return a query that takes the given number of seconds and writes: it is not repeated after a lost connection."""
    sql = "with gone as (delete from login_throttle where false) select pg_sleep($1)::text"
    return Value(statement("value text", sql, "seconds float8"), int)


def url_with_hosts(database_url: str, server: EmbeddedPostgres, *others: str) -> str:
    """Return the URL of the worker's database, with `others` before its host."""
    places = [*others, f"{quote(str(server.socket_directory), safe='')}:{server.port}"]
    return re.sub("//(.*@)/([^?]*).*", rf"//\g<1>{','.join(places)}/\g<2>", database_url)
