"""A transaction: several statements on one connection that nobody else uses meanwhile."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from service.postgres.connection import PooledConnection
from service.postgres.connections import NO_ANSWER, TOO_MANY_CHANGES
from service.postgres.database import Rows
from service.postgres.errors import RETRYABLE, UNAVAILABLE, NotSentError, is_stale
from service.postgres.queries import Query
from service.problems import Unavailable
from service.telemetry import RequestContext
from service.timeouts import DatabaseTimeouts

Run = Callable[[PooledConnection, Query[..., Any], tuple[Any, ...], float, RequestContext], Awaitable[Rows]]


class Transaction:
    """A transaction on `connection`, each step of which is within the request's time for the database."""

    def __init__(
        self, connection: PooledConnection, context: RequestContext, timeouts: DatabaseTimeouts, run: Run
    ) -> None:
        self.connection = connection
        self.error: BaseException | None = None
        """What the first step failed with that did: nothing can be committed after it."""
        self.silent = False
        """Whether it failed because the server did not answer in the whole time that a statement has."""
        self._context = context
        self._timeouts = timeouts
        self._run = run

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query`, as a pool does, but never again after an error."""
        async with self._step() as until:
            return await self._run(self.connection, query, arguments, until, self._context)

    async def begin(self) -> None:
        """Begin it."""
        await self._execute("begin")

    async def commit(self) -> None:
        """Commit it. Raises the error of a step, if somebody has caught that."""
        if self.error:
            raise _refusal(self.error) from self.error
        await self._execute("commit")

    async def _execute(self, command: str) -> None:
        async with self._step() as until:
            await self.connection.connection.execute(command, timeout=until - monotonic())

    @asynccontextmanager
    async def _step(self) -> AsyncIterator[float]:
        """Yield when the step has to end (monotonic seconds), and turn its error into what it means."""
        began = monotonic()
        until = began + min(self._timeouts.query, self._timeouts.request - self._context.database_used)
        try:
            if self.connection.connection.is_closed():  # since the step before; asyncpg has no class of its own for it
                raise NotSentError  # noqa: TRY301 - it means what an error of the step means
            yield until
        except BaseException as error:
            if not self.error:
                self.error = error
                self.silent = isinstance(error, TimeoutError) and until - began >= self._timeouts.query
            refusal = _refusal(error)
            if refusal is error:
                raise
            raise refusal from error
        finally:
            self._context.database_used += monotonic() - began


def _refusal(error: BaseException) -> BaseException:
    """Return what `error` means."""
    if isinstance(error, RETRYABLE):
        return Unavailable(TOO_MANY_CHANGES)
    if isinstance(error, (*UNAVAILABLE, NotSentError)) or is_stale(error):
        return Unavailable(NO_ANSWER)
    return error
