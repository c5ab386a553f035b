"""The pool: how a query is run, and what its answer becomes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, ParamSpec, Protocol, TypeVar

import asyncpg

from service.problems import SessionEnded, Unavailable
from service.queries import Count, Many, Maybe, One, Query, Value

P = ParamSpec("P")
R = TypeVar("R")

# What PostgreSQL's absence looks like: no route, a closed connection, no free connection in time,
# a server that starts, stops or has no room. InternalClientError is what asyncpg says when the server's
# farewell came before the query; InterfaceError, when the query is called wrongly: that is our own mistake.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
)


class Connections(Protocol):
    """What lends connections: the pool, or a test's transaction that is rolled back."""

    def open(self) -> AbstractAsyncContextManager[None]:
        """Be ready to lend until the end of the context."""

    def acquire(self, *, timeout: float) -> AbstractAsyncContextManager[Any]:
        """Lend a connection; wait `timeout` seconds for it at most."""


class WrongCardinalityError(Exception):
    """A query returned another number of rows than its header declares: a mistake in the SQL file."""


class Database:
    """Runs queries, each in one round trip.

    A query whose ``$1`` is the caller's ``session`` checks that session itself, and returns no row once it has
    ended: that is SessionEnded here, for every such query. A first column that is null then means: the session is
    alive, but there is nothing to show.

    Each method raises Unavailable where PostgreSQL cannot be reached in time, and asyncpg.PostgresError where it
    refuses.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def one(self, query: One[P, R], *arguments: P.args, **_: P.kwargs) -> R:
        """Return the one row of `query`."""
        rows = await self._fetch(query, arguments)
        if len(rows) != 1:
            raise WrongCardinalityError(f"{query.name} returned {len(rows)} rows, not one")
        return query.row(*rows[0])

    async def maybe(self, query: Maybe[P, R], *arguments: P.args, **_: P.kwargs) -> R | None:
        """Return the row of `query`, or None."""
        rows = await self._fetch(query, arguments)
        if len(rows) > 1:
            raise WrongCardinalityError(f"{query.name} returned {len(rows)} rows, not one at most")
        return query.row(*rows[0]) if rows and rows[0][0] is not None else None

    async def many(self, query: Many[P, R], *arguments: P.args, **_: P.kwargs) -> list[R]:
        """Return the rows of `query`."""
        rows = await self._fetch(query, arguments)
        if rows and rows[0][0] is None:
            return []
        row = query.row
        # By position, 4 µs for ten rows where keywords take 11: columns and fields are in the same order.
        return [row(*columns) for columns in rows]

    async def value(self, query: Value[P, R], *arguments: P.args, **_: P.kwargs) -> R:
        """Return the one value of `query`."""
        rows = await self._fetch(query, arguments)
        if len(rows) != 1 or len(rows[0]) != 1:
            raise WrongCardinalityError(f"{query.name} did not return one value")
        value: R = rows[0][0]
        return value

    async def count(self, query: Count[P], *arguments: P.args, **_: P.kwargs) -> int:
        """Return how many rows `query` changed."""
        async with self._connection() as connection:
            status: str = await connection.execute(query.sql, *arguments)
        return int(status.rsplit(" ", 1)[-1])

    async def _fetch(self, query: Query[P, R], arguments: tuple[Any, ...]) -> list[Any]:
        async with self._connection() as connection:
            rows: list[Any] = await connection.fetch(query.sql, *arguments)
        if not rows and query.of_session:
            raise SessionEnded
        return rows

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        try:
            async with self._connections.acquire(timeout=1) as connection:
                yield connection
        except AWAY as error:
            raise Unavailable("The database does not answer") from error


class Pool:
    """Connections to PostgreSQL, made on demand: the server need not be there yet when the service starts."""

    def __init__(
        self, url: str, *, size: int = 1, statement_cache: int = 100, statement_timeout: int = 0, lock_timeout: int = 0
    ) -> None:
        """Lend up to `size` connections to `url`. Timeouts are in milliseconds; 0 leaves them to the role."""
        timeouts = {"statement_timeout": statement_timeout, "lock_timeout": lock_timeout}
        self._open = partial(
            asyncpg.create_pool,
            url,
            min_size=0,
            max_size=size,
            statement_cache_size=statement_cache,
            # Only those that are wanted: PgBouncer refuses them at the start of a connection.
            server_settings={name: str(milliseconds) for name, milliseconds in timeouts.items() if milliseconds},
            timeout=3,
            reset=_keep,
        )
        self._pool: asyncpg.Pool | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Lend connections until the end of the context; then close them all, after 5 s by force."""
        self._pool = await self._open()
        try:
            yield
        finally:
            try:
                await asyncio.wait_for(self._pool.close(), timeout=5)
            except TimeoutError:
                self._pool.terminate()

    def acquire(self, *, timeout: float) -> AbstractAsyncContextManager[Any]:
        """Lend a connection; wait `timeout` seconds for it at most."""
        assert self._pool is not None, "open() comes first"  # noqa: S101 - a mistake of the caller's code
        return self._pool.acquire(timeout=timeout)


async def _keep(connection: object) -> None:
    """Leave the connection as it is: no query here sets session state, and a RESET ALL is a round trip a request."""
