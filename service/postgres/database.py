"""Runs typed queries, and turns rows into objects."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ParamSpec, Protocol, TypeVar, cast

import asyncpg

from service.postgres.error_classification import RETRYABLE, is_stale
from service.postgres.queries import Count, Many, Maybe, One, Query, Value
from service.postgres.retries import Backoff
from service.problems import SessionEnded, Unavailable
from service.timeouts import DatabaseTimeouts

P = ParamSpec("P")
R = TypeVar("R")
# How many times a transaction that lost to a concurrent one is run again.
MAX_RETRIES = 4
# The result of a statement; for a Count, one row with the number of affected rows.
Rows = list[asyncpg.Record] | list[tuple[int]]


class Executor(Protocol):
    """Runs statements."""

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` and return its rows; for a Count, one row with the number of affected rows."""


class PoolLike(Executor, Protocol):
    """A Pool, or anything that runs statements and transactions as a Pool does."""

    @property
    def timeouts(self) -> DatabaseTimeouts:
        """The time limits of statements and transactions."""

    def open(self) -> AbstractAsyncContextManager[None]:
        """Provide connections until the end of the context."""

    def transaction(self) -> AbstractAsyncContextManager[Executor]:
        """Run the statements of the context as one transaction."""


class WrongCardinalityError(Exception):
    """A query returned a number of rows that its header does not allow: the SQL file is wrong."""


class Queries:
    """Runs queries, each in one round trip.

    A query whose ``$1`` is the caller's ``session`` checks that session itself, and returns no row if it has ended:
    each method then raises SessionEnded. If the session is alive but there is nothing to return, the first column of
    its row is null.

    Each method raises Unavailable if PostgreSQL does not answer in time, asyncpg.PostgresError if it refuses the query.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def one(self, query: One[P, R], *arguments: P.args, **_: P.kwargs) -> R:
        """Return the one row of `query`."""
        rows = await self._executor.fetch(query, arguments)
        if len(rows) != 1:
            check_session(query, rows)
            raise WrongCardinalityError(f"{query.name} returned {len(rows)} rows instead of one")
        return query.row(*rows[0])

    async def maybe(self, query: Maybe[P, R], *arguments: P.args, **_: P.kwargs) -> R | None:
        """Return the row of `query`, or None."""
        rows = await self._executor.fetch(query, arguments)
        if len(rows) != 1:
            check_session(query, rows)
            if rows:
                raise WrongCardinalityError(f"{query.name} returned {len(rows)} rows instead of one or none")
        if not rows or (query.checks_session and rows[0][0] is None):
            return None
        return query.row(*rows[0])

    async def many(self, query: Many[P, R], *arguments: P.args, **_: P.kwargs) -> list[R]:
        """Return the rows of `query`."""
        rows = await self._executor.fetch(query, arguments)
        if not rows:
            check_session(query, rows)
        elif query.checks_session and rows[0][0] is None:
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
        """Return the number of rows that `query` affected."""
        number: int = (await self._executor.fetch(query, arguments))[0][0]
        return number


class Database(Queries):
    """Runs queries on a pool, individually or in a transaction."""

    def __init__(self, pool: PoolLike) -> None:
        super().__init__(pool)
        self.pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Queries]:
        """Run the queries of the context as one transaction: committed at its end, rolled back on any exception.

        It holds one connection, and is not retried: if it loses to a concurrent transaction, or the commit is not
        confirmed, it raises Unavailable.
        """
        async with self.pool.transaction() as executor:
            yield Queries(executor)

    async def run_transaction(self, work: Callable[[Queries], Awaitable[R]]) -> R:
        """Run `work` as one transaction and return its result; run it again if it loses to a concurrent transaction.

        Only a transaction that was certainly rolled back is retried, after a deadlock, a serialization failure or a
        change of the schema. A commit that is not confirmed raises Unavailable.
        """
        backoff = Backoff(self.pool.timeouts.retry_backoff)
        retries = 0
        while True:
            try:
                async with self.transaction() as tx:
                    return await work(tx)
            except Unavailable as error:
                cause = error.__cause__
                if retries == MAX_RETRIES or not (isinstance(cause, RETRYABLE) or (cause and is_stale(cause))):
                    raise
            await backoff.pause()
            retries += 1


def check_session(query: Query[..., Any], rows: Rows) -> None:
    """Raise SessionEnded if `query` checks the session and returned no row."""
    if not rows and query.checks_session:
        raise SessionEnded
