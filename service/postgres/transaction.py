"""A transaction: several statements on one connection, which nothing else uses until it ends."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from service.postgres.connection_pool import PooledConnection
from service.postgres.database import Rows
from service.postgres.error_classification import NotSentError, reraise
from service.postgres.queries import Query
from service.telemetry import RequestContext
from service.timeouts import DatabaseTimeouts

Run = Callable[[PooledConnection, Query[..., Any], tuple[Any, ...], float, RequestContext], Awaitable[Rows]]


class Transaction:
    """A transaction whose statements must all finish within the request's time budget for the database."""

    def __init__(self, pooled: PooledConnection, context: RequestContext, timeouts: DatabaseTimeouts, run: Run) -> None:
        self.pooled = pooled
        self.error: BaseException | None = None
        """The error of the first step that failed: nothing can be committed after it."""
        self.silent = False
        """Whether that step failed because the server did not answer within the full time limit of a statement."""
        self._context = context
        self._timeouts = timeouts
        self._run = run

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` as a Pool does, without retries."""
        async with self._step() as deadline:
            return await self._run(self.pooled, query, arguments, deadline, self._context)

    async def begin(self) -> None:
        """Begin the transaction. Raises Unavailable."""
        await self._execute("begin")

    async def commit(self) -> None:
        """Commit. Raises the error of a failed step even if the caller caught it: PostgreSQL would roll back."""
        if self.error:
            reraise(self.error)
        await self._execute("commit")

    async def _execute(self, command: str) -> None:
        async with self._step() as deadline:
            await self.pooled.connection.execute(command, timeout=deadline - monotonic())

    @asynccontextmanager
    async def _step(self) -> AsyncIterator[float]:
        """Yield the deadline of a step (monotonic seconds); record and translate its error."""
        began = monotonic()
        deadline = began + min(self._timeouts.query, self._timeouts.request - self._context.budget_used)
        try:
            if self.pooled.connection.is_closed():  # asyncpg would raise an InterfaceError, as for wrong arguments
                raise NotSentError  # noqa: TRY301 - handled like an error of the step
            yield deadline
        except BaseException as error:  # noqa: BLE001 - reraise() raises it
            if not self.error:
                self.error = error
                self.silent = isinstance(error, TimeoutError) and deadline - began >= self._timeouts.query
            reraise(error)
        finally:
            self._context.budget_used += monotonic() - began
