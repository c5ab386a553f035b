"""How a query is run, and what its answer becomes."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ParamSpec, Protocol, TypeVar, cast

import asyncpg

from service.postgres.errors import RETRYABLE
from service.postgres.queries import Count, Many, Maybe, One, Query, Value
from service.problems import SessionEnded, Unavailable
from service.timeouts import DATABASE_TIMEOUTS

P = ParamSpec("P")
R = TypeVar("R")
# How often a transaction that lost to another one is begun again.
MAX_RETRIES = 4
# What a statement returns; of a Count, one row: how many it changed.
Rows = list[asyncpg.Record] | list[tuple[int]]


class Executor(Protocol):
    """What runs a statement."""

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` and return its rows; of a Count, one row: how many it changed."""


class Connections(Executor, Protocol):
    """What lends connections: a pool, or a test's transaction that is rolled back."""

    def open(self) -> AbstractAsyncContextManager[None]:
        """Be ready until the end of the context."""

    def transaction(self) -> AbstractAsyncContextManager[Executor]:
        """Run the statements of the context as one transaction."""


class WrongCardinalityError(Exception):
    """A query returned another number of rows than its header declares: a mistake in the SQL file."""


class Queries:
    """Runs queries, each in one round trip.

    A query whose ``$1`` is the caller's ``session`` checks that session itself, and returns no row once it has
    ended: each method then raises SessionEnded. In such a query, a first column that is null means that the session is
    alive, but there is nothing to show.

    Each method raises Unavailable if PostgreSQL cannot be reached in time, and asyncpg.PostgresError if it refuses.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def one(self, query: One[P, R], *arguments: P.args, **_: P.kwargs) -> R:
        """Return the one row of `query`."""
        rows = await self._executor.fetch(query, arguments)
        if len(rows) != 1:
            check_session(query, rows)
            raise WrongCardinalityError(f"{query.name} returned {len(rows)} rows, not one")
        return query.row(*rows[0])

    async def maybe(self, query: Maybe[P, R], *arguments: P.args, **_: P.kwargs) -> R | None:
        """Return the row of `query`, or None."""
        rows = await self._executor.fetch(query, arguments)
        if len(rows) != 1:
            check_session(query, rows)
            if rows:
                raise WrongCardinalityError(f"{query.name} returned {len(rows)} rows, not one at most")
        if not rows or (query.of_session and rows[0][0] is None):
            return None
        return query.row(*rows[0])

    async def many(self, query: Many[P, R], *arguments: P.args, **_: P.kwargs) -> list[R]:
        """Return the rows of `query`."""
        rows = await self._executor.fetch(query, arguments)
        if not rows:
            check_session(query, rows)
        elif query.of_session and rows[0][0] is None:
            return []
        row = query.row
        # By position, which is faster than by keyword: columns and fields are in the same order.
        return [row(*columns) for columns in rows]

    async def value(self, query: Value[P, R], *arguments: P.args, **_: P.kwargs) -> R:
        """Return the one value of `query`."""
        rows = await self._executor.fetch(query, arguments)
        check_session(query, rows)
        if len(rows) != 1 or len(rows[0]) != 1:
            raise WrongCardinalityError(f"{query.name} did not return one value")
        return cast(R, rows[0][0])

    async def count(self, query: Count[P], *arguments: P.args, **_: P.kwargs) -> int:
        """Return how many rows `query` changed."""
        number: int = (await self._executor.fetch(query, arguments))[0][0]
        return number


class Database(Queries):
    """Runs queries on connections, alone or several as one transaction."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self._connections = connections

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Queries]:
        """Run the queries of the context as one transaction: committed at its end, rolled back on any exception.

        It holds one connection meanwhile. It is never repeated: if it loses to another transaction, or the commit is
        not confirmed, it raises Unavailable.
        """
        async with self._connections.transaction() as executor:
            yield Queries(executor)

    async def run_transaction(self, work: Callable[[Queries], Awaitable[R]]) -> R:
        """Run `work` as one transaction, and again from its start if that loses to another one; return its result.

        A deadlock and a serialization failure undo the transaction for certain. A commit that is not confirmed does
        not: that raises Unavailable.
        """
        retries = 0
        while True:
            try:
                async with self.transaction() as tx:
                    return await work(tx)
            except Unavailable as refused:
                if retries == MAX_RETRIES or not isinstance(refused.__cause__, RETRYABLE):
                    raise
            pause = DATABASE_TIMEOUTS.retry_backoff * 2**retries
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - no secret
            retries += 1


def check_session(query: Query[..., Any], rows: Rows) -> None:
    """Raise SessionEnded if that is what no row means."""
    if not rows and query.of_session:
        raise SessionEnded
