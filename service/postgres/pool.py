"""Runs statements, and retries those that had no effect."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from time import monotonic
from typing import Any

import asyncpg
from typing_extensions import override

from service.postgres.connection_pool import ConnectionPool, PooledConnection
from service.postgres.database import Executor, Rows
from service.postgres.deadlines import Deadlines
from service.postgres.error_classification import (
    NO_ANSWER,
    UNAVAILABLE,
    NotSentError,
    add_query,
    describe,
    has_unknown_outcome,
    leaves_connection_usable,
)
from service.postgres.outage_log import OutageLog
from service.postgres.queries import Count, Query
from service.postgres.retries import Retries
from service.postgres.slow_queries import SlowQueryLog, explain
from service.postgres.transaction import Transaction
from service.problems import Unavailable
from service.telemetry import RequestContext, current, recorder
from service.timeouts import DATABASE_TIMEOUTS, DatabaseTimeouts


class Pool(ConnectionPool):
    """Runs statements on up to `size` connections, within the request's time budget."""

    def __init__(  # noqa: PLR0913 - one parameter per setting
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
        """Create a pool for `url`; no connection is opened yet. Raises ValueError if `url` is invalid.

        `statement_timeout` and `lock_timeout` are PostgreSQL's, in milliseconds; 0 leaves them to the role. Queries
        that take longer than `slow_query` milliseconds are logged; 0 logs none.
        """
        limits = {"statement_timeout": statement_timeout, "lock_timeout": lock_timeout}
        # Omit those that are 0: PgBouncer refuses a connection that sets them.
        settings = {name: str(milliseconds) for name, milliseconds in limits.items() if milliseconds}
        if settings and "plan_cache_mode=" not in url:
            # Then the plan that `sql check` examines is the one that runs. Left to the role if the timeouts are.
            settings["plan_cache_mode"] = "force_generic_plan"
        super().__init__(
            url,
            size=size,
            timeouts=timeouts,
            outages=outages or OutageLog(),
            statement_cache_size=statement_cache,
            server_settings=settings,
        )
        self._budget = timeouts.request
        self._prepares = statement_cache > 0
        self._slow_seconds = slow_query / 1000 or inf
        self._slow_queries = SlowQueryLog(self.explain)
        self._deadlines = Deadlines()

    @override
    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Provide connections until the end of the context, then close them all, abruptly if that takes too long."""
        async with super().open():
            try:
                yield
            finally:
                await self._slow_queries.close()

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` and return its rows; for a Count, one row with the number of affected rows.

        Raises Unavailable if PostgreSQL does not answer in time, asyncpg.PostgresError if it refuses the statement.
        """
        context = current.get() or RequestContext("")  # outside a request, each statement has the whole budget
        began = monotonic()
        request_deadline = began + self._budget - context.budget_used
        retries: Retries | None = None
        run = self._run
        try:
            while True:
                pooled = self._idle.pop() if self._idle else await self._wait(request_deadline, context)
                now = monotonic()
                if now >= pooled.usable_until or pooled.connection.is_closed():
                    self._close_soon(pooled)
                    continue
                deadline = now + self.timeouts.query
                if cut_short := request_deadline <= deadline:
                    deadline = request_deadline
                    if deadline <= now:
                        self._release(pooled)
                        raise Unavailable(NO_ANSWER)
                try:
                    rows = await run(pooled, query, arguments, deadline, context)
                except BaseException as error:  # noqa: BLE001 - pause_or_raise() raises it
                    retries = retries or Retries(self.timeouts, request_deadline)
                    # PostgreSQL's own statement timeout is shorter, unless the request's deadline cut the time short.
                    silent = isinstance(error, TimeoutError) and not cut_short
                    if retries.unknown:
                        self._close_soon(pooled)  # and with it the read-only transaction
                    else:
                        self._release_or_close(pooled, error, silent=silent)
                    await retries.pause_or_raise(error)
                    run = self._run_read_only if retries.unknown else self._run
                else:
                    self._release(pooled)
                    return rows
        finally:
            context.budget_used += monotonic() - began

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Executor]:
        """Run the statements of the context as one transaction: committed at its end, rolled back on any exception.

        Raises Unavailable if PostgreSQL does not answer in time, if the transaction loses to a concurrent one, or if
        the commit is not confirmed. Nothing is retried.
        """
        transaction = await self._begin(current.get() or RequestContext(""))
        try:
            yield transaction
            await transaction.commit()
        except Exception:
            await self._roll_back(transaction)
            raise
        except BaseException:  # cancelled: PostgreSQL rolls back when the connection closes
            self._close_soon(transaction.pooled)
            raise
        self._release(transaction.pooled)

    async def _begin(self, context: RequestContext) -> Transaction:
        """Begin a transaction, on another connection if the first one turns out to be lost."""
        while True:
            began = monotonic()
            try:
                deadline = began + self._budget - context.budget_used
                pooled = self._idle.pop() if self._idle else await self._wait(deadline, context)
            finally:
                context.budget_used += monotonic() - began
            if pooled.is_expired() or pooled.connection.is_closed():
                self._close_soon(pooled)
                continue
            transaction = Transaction(pooled, context, self.timeouts, self._run)
            try:
                await transaction.begin()
            except BaseException:
                assert transaction.error  # noqa: S101 - set by begin()
                self._release_or_close(pooled, transaction.error, silent=transaction.silent)
                if not has_unknown_outcome(transaction.error):
                    raise
            else:
                return transaction

    async def _roll_back(self, transaction: Transaction) -> None:
        """Roll back `transaction`, and keep its connection if it is still usable."""
        pooled, error = transaction.pooled, transaction.error
        if error and not leaves_connection_usable(error):
            self._release_or_close(pooled, error, silent=transaction.silent)
            return
        try:
            await pooled.connection.execute("rollback", timeout=self.timeouts.close)
        except BaseException as failure:
            self._close_soon(pooled)
            if not isinstance(failure, (*UNAVAILABLE, asyncpg.PostgresError, asyncpg.InterfaceError)):
                raise
        else:
            self._invalidate_if_stale(error)
            self._release(pooled)

    async def _run(
        self,
        pooled: PooledConnection,
        query: Query[..., Any],
        arguments: tuple[Any, ...],
        deadline: float,
        context: RequestContext,
    ) -> Rows:
        """Run `query` before `deadline` (monotonic seconds), and measure it."""
        rows: Rows | None = None
        failure: str | None = None
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]  # a coroutine runs in a task
        began = monotonic()
        timeout = deadline - began
        try:
            if self._prepares:
                statement = pooled.statements.get(query) or await self._prepare(pooled, query, timeout)
                self._deadlines.running[task] = deadline
                if deadline < self._deadlines.next_check:
                    self._deadlines.check_at(deadline)
                rows = await statement.fetch(*arguments)
                if isinstance(query, Count):
                    rows = affected_rows(statement.get_statusmsg())
            # PgBouncer before 1.21 does not support prepared statements in transaction mode.
            elif isinstance(query, Count):
                rows = affected_rows(await pooled.connection.execute(query.sql, *arguments, timeout=timeout))
            else:
                rows = await pooled.connection.fetch(query.sql, *arguments, timeout=timeout)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and self._deadlines.uncancel(task):
                failure = TimeoutError.__name__
                raise TimeoutError from None
            failure = describe(error)
            add_query(error, query)
            raise
        else:
            return rows
        finally:
            self._deadlines.running.pop(task, None)
            seconds = monotonic() - began
            if recorder.is_on:
                number = None if rows is None else rows[0][0] if isinstance(query, Count) else len(rows)
                recorder.query(query.name, seconds, number)
            context.queries += 1
            context.database_seconds += seconds
            if seconds > self._slow_seconds:
                self._slow_queries.add(query, seconds, failure)

    async def _run_read_only(
        self,
        pooled: PooledConnection,
        query: Query[..., Any],
        arguments: tuple[Any, ...],
        deadline: float,
        context: RequestContext,
    ) -> Rows:
        """Run `query` in a transaction in which PostgreSQL refuses every write."""
        await pooled.connection.execute("begin read only", timeout=deadline - monotonic())
        rows = await self._run(pooled, query, arguments, deadline, context)
        await pooled.connection.execute("commit", timeout=deadline - monotonic())
        return rows

    async def _prepare(
        self,
        pooled: PooledConnection,
        query: Query[..., Any],
        timeout: float,  # noqa: ASYNC109 - asyncpg's own timeout
    ) -> asyncpg.prepared_stmt.PreparedStatement:
        """Prepare `query`. Raises NotSentError if the connection is lost: the statement itself was not sent yet."""
        try:
            statement = await pooled.connection.prepare(query.sql + self._version_comment, timeout=timeout)
        except Exception as error:
            if has_unknown_outcome(error):
                raise NotSentError from error
            raise
        pooled.statements[query] = statement
        return statement

    async def explain(self, query: Query[..., Any]) -> str | None:
        """Return PostgreSQL's generic plan of `query`, or None if that fails or no connection is idle."""
        if not self._idle:
            return None
        pooled = self._idle.pop()
        try:
            async with asyncio.timeout(self.timeouts.query):
                plan = await explain(pooled.connection, query)
        except (*UNAVAILABLE, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._close_soon(pooled)
            return None
        self._release(pooled)
        return plan


class ProbePool(Pool):
    """A pool for readiness checks, which the metrics do not count."""

    server = None


def affected_rows(command_tag: str | None) -> list[tuple[int]]:
    """Return the number at the end of a command tag, such as ``DELETE 3``, as a row."""
    return [(int((command_tag or "0").rpartition(" ")[2]),)]
