"""Runs statements, and retries those that had no effect."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from time import monotonic
from typing import Any

import asyncpg
import attrs
from typing_extensions import override

from service.postgres.connection import PooledConnection
from service.postgres.connections import NO_ANSWER, TOO_MANY_CHANGES, ConnectionPool, OutageLog
from service.postgres.database import Executor, Rows
from service.postgres.errors import (
    RETRYABLE,
    UNAVAILABLE,
    NotSentError,
    is_stale,
    keeps_connection,
    may_have_happened,
)
from service.postgres.queries import Count, Query
from service.postgres.slow_queries import SlowQueries, explain
from service.postgres.transaction import Transaction
from service.problems import Unavailable
from service.telemetry import RequestContext, current, recorder
from service.timeouts import DATABASE_TIMEOUTS, DatabaseTimeouts

# After a change of the schema, PgBouncer can still hold statements that other processes prepared before it.
MAX_PREPARED_ANEW = 10


@attrs.define
class Failures:
    """What has gone wrong with a statement so far."""

    pause: float = 0.0
    """The last pause in seconds, after a deadlock or a serialization failure."""
    stale: int = 0
    """How often it had to be prepared anew."""
    lost: BaseException | None = None
    """The error after which nobody knows whether it has happened: it then runs once more in a read-only transaction,
    in which PostgreSQL refuses every write."""


class Pool(ConnectionPool):
    """Runs statements on up to `size` connections, within the time that a request has for the database."""

    def __init__(  # noqa: PLR0913 - each is an operator's setting
        self,
        url: str,
        *,
        size: int = 1,
        timeouts: DatabaseTimeouts = DATABASE_TIMEOUTS,
        statement_cache: int = 100,
        statement_timeout: int = 0,
        lock_timeout: int = 0,
        slow_query: int = 0,
        outages: OutageLog | None = None,
    ) -> None:
        """Make up to `size` connections to `url`.

        PostgreSQL's own timeouts are in milliseconds; 0 leaves them to the role. A query that takes longer than
        `slow_query` milliseconds is logged; with 0, none is. Pools of one database may share `outages`.
        """
        limits = {"statement_timeout": statement_timeout, "lock_timeout": lock_timeout}
        # Only those that are wanted: PgBouncer refuses them at the start of a connection.
        settings = {name: str(milliseconds) for name, milliseconds in limits.items() if milliseconds}
        if settings and "plan_cache_mode=" not in url:
            # The plan that `sql check` judges is the one that runs.
            settings["plan_cache_mode"] = "force_generic_plan"
        super().__init__(
            url,
            size=size,
            timeouts=timeouts,
            outages=outages or OutageLog(),
            statement_cache_size=statement_cache,
            server_settings=settings,
        )
        # Seconds that all statements of a request have together.
        self._budget = timeouts.request
        self._prepares = statement_cache > 0
        self._slow = slow_query / 1000 or inf
        self._slow_queries = SlowQueries(self.plan)

    @override
    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be ready until the end of the context; then close all connections, by force if that takes too long."""
        async with super().open():
            try:
                yield
            finally:
                await self._slow_queries.close()

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` and return its rows; of a Count, one row: how many it changed.

        Raises Unavailable if PostgreSQL does not answer in time, asyncpg.PostgresError if it refuses.
        """
        context = current.get() or RequestContext("")  # outside of a request, a statement has as much time as one
        began = monotonic()
        deadline = began + self._budget - context.database_used
        failures: Failures | None = None
        try:
            while True:
                # As _acquire() does it, without a coroutine for each statement.
                connection = self._idle.pop() if self._idle else await self._wait(deadline, context)
                now = monotonic()
                if now >= connection.idle_until or now >= connection.expires_at or connection.connection.is_closed():
                    self._close_soon(connection)
                    continue
                if deadline <= now:
                    self._release(connection)
                    raise Unavailable(NO_ANSWER)
                is_late = deadline - now <= self.timeouts.query
                until = deadline if is_late else now + self.timeouts.query
                read_only = failures is not None and failures.lost is not None
                try:
                    rows = await self._run(connection, query, arguments, until, context, read_only=read_only)
                except BaseException as error:  # noqa: BLE001 - _on_error() raises it
                    failures = failures or Failures()
                    # PostgreSQL ends a statement by itself, but not before a late one has run out of time.
                    silent = isinstance(error, TimeoutError) and not is_late
                    if read_only:
                        self._close_soon(connection)  # and with it the transaction
                    else:
                        self._release_or_close(connection, error, silent=silent)
                    await self._on_error(error, failures, deadline)
                else:
                    self._release(connection)
                    return rows
        finally:
            context.database_used += monotonic() - began

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Executor]:
        """Run the statements of the context as one transaction: committed at its end, rolled back on any exception.

        Raises Unavailable if PostgreSQL does not answer in time, if the transaction loses to another one, and if the
        commit is not confirmed; nothing is repeated.
        """
        transaction = await self._begin(current.get() or RequestContext(""))
        try:
            yield transaction
            await transaction.commit()
        except Exception:
            await self._roll_back(transaction)
            raise
        except BaseException:  # cancelled: PostgreSQL rolls back when the connection closes
            self._close_soon(transaction.connection)
            raise
        self._release(transaction.connection)

    async def _begin(self, context: RequestContext) -> Transaction:
        """Begin a transaction, on another connection if the first one turns out to be lost."""
        while True:
            began = monotonic()
            try:
                connection = await self._acquire(began + self._budget - context.database_used, context)
            finally:
                context.database_used += monotonic() - began
            transaction = Transaction(connection, context, self.timeouts, self._run)
            try:
                await transaction.begin()
            except BaseException:
                assert transaction.error  # noqa: S101 - what it failed with
                self._release_or_close(connection, transaction.error, silent=transaction.silent)
                if not may_have_happened(transaction.error):
                    raise
            else:
                return transaction

    async def _roll_back(self, transaction: Transaction) -> None:
        """End a transaction that cannot be committed; its connection is kept if it is still good."""
        connection, error = transaction.connection, transaction.error
        if error and not keeps_connection(error):
            self._release_or_close(connection, error, silent=transaction.silent)
            return
        try:
            await connection.connection.execute("rollback", timeout=self.timeouts.close)
        except BaseException as failure:
            self._close_soon(connection)
            if not isinstance(failure, (*UNAVAILABLE, asyncpg.PostgresError, asyncpg.InterfaceError)):
                raise
        else:
            self._note_stale(error)
            self._release(connection)

    async def _on_error(self, error: BaseException, failures: "Failures", deadline: float) -> None:
        """Return if the statement is to run again, after a pause if need be; else raise what `error` means."""
        if isinstance(error, RETRYABLE):
            failures.pause = await self._back_off(failures.pause, deadline, error)
        elif isinstance(error, NotSentError):
            pass
        elif is_stale(error) and failures.stale < MAX_PREPARED_ANEW:
            failures.stale += 1
        elif may_have_happened(error) and not failures.lost:
            failures.lost = error
        elif isinstance(error, UNAVAILABLE):
            is_write = failures.lost and isinstance(error, asyncpg.ReadOnlySQLTransactionError)
            raise Unavailable(NO_ANSWER) from failures.lost if is_write else error
        else:
            raise error

    async def _back_off(self, pause: float, deadline: float, error: BaseException) -> float:
        """Wait before a statement that lost to another one runs again; return the length of the pause.

        Raises Unavailable if it could not be answered in time.
        """
        pause = 2 * pause or self.timeouts.retry_backoff
        if monotonic() + pause + self.timeouts.acquire > deadline:
            raise Unavailable(TOO_MANY_CHANGES) from error
        # At random, so that the two do not collide again; not at once, because the winner still has to finish.
        await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - no secret
        return pause

    async def _run(  # noqa: PLR0913 - all that is known of the statement
        self,
        connection: PooledConnection,
        query: Query[..., Any],
        arguments: tuple[Any, ...],
        until: float,
        context: RequestContext,
        *,
        read_only: bool = False,
    ) -> Rows:
        """Run `query` on `connection`, until `until` (monotonic seconds), and measure it."""
        rows: Rows | None = None
        began = monotonic()
        left = until - began
        try:
            if read_only:
                await connection.connection.execute("begin read only", timeout=left)
            if self._prepares:
                statement = connection.statements.get(query) if connection.schema == self._schema else None
                if statement is None:
                    statement = await self._prepare(connection, query, left)
                    left = until - monotonic()
                rows = await statement.fetch(*arguments, timeout=left)
                if isinstance(query, Count):
                    rows = changed(statement.get_statusmsg())
            # PgBouncer before 1.21 cannot use prepared statements in transaction mode.
            elif isinstance(query, Count):
                rows = changed(await connection.connection.execute(query.sql, *arguments, timeout=left))
            else:
                rows = await connection.connection.fetch(query.sql, *arguments, timeout=left)
            if read_only:
                await connection.connection.execute("commit", timeout=until - monotonic())
            return rows
        finally:
            seconds = monotonic() - began
            if recorder.is_on:
                number = None if rows is None else rows[0][0] if isinstance(query, Count) else len(rows)
                recorder.query(query.name, seconds, number)
            context.queries += 1
            context.database_seconds += seconds
            if seconds > self._slow:
                self._slow_queries.note(query, seconds)

    async def _prepare(
        self, connection: PooledConnection, query: Query[..., Any], seconds: float
    ) -> asyncpg.prepared_stmt.PreparedStatement:
        """Prepare `query` on `connection`, within so many seconds."""
        if connection.schema != self._schema:
            connection.statements.clear()
            connection.schema = self._schema
        try:
            statement = await connection.connection.prepare(query.sql + self._remark, timeout=seconds)
        except Exception as error:
            if may_have_happened(error):
                raise NotSentError from error
            raise
        connection.statements[query] = statement
        return statement

    async def plan(self, query: Query[..., Any]) -> str | None:
        """Return the plan that PostgreSQL makes of `query` for any arguments; None if no connection is free for it."""
        if not self._idle or self._waiters.waiters:
            return None
        connection = self._idle.pop()
        try:
            async with asyncio.timeout(self.timeouts.query):
                plan = await explain(connection.connection, query)
        except (*UNAVAILABLE, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._close_soon(connection)
            return None
        self._release(connection)
        return plan


class ProbePool(Pool):
    """A connection for readiness, which is not counted among those of requests."""

    server = None


def changed(status: str | None) -> list[tuple[int]]:
    """Return the number at the end of PostgreSQL's ``DELETE 3`` as a row."""
    return [(int((status or "0").rpartition(" ")[2]),)]
