"""Reads on a replica, if DATABASE_REPLICA_URL names one: only of queries marked ``replica: ok``.

A read sees everything that any process has confirmed to any client, such as a log-out or a new pet. It first asks the
primary for the current position of its log, and then runs on a replica that has replayed the log up to there
("ReadIndex": Ongaro, Consensus, 6.4, 2014). Concurrent reads share one question. A replica has DATABASE_REPLICA_MAX_LAG
to catch up. If it does not, or fails, the primary answers, and the client notices nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from contextvars import Context, ContextVar
from time import monotonic
from typing import Any

import asyncpg
import attrs
from typing_extensions import override

from service.database_url import Address
from service.postgres.connection_pool import NO_ANSWER, PooledConnection
from service.postgres.database import Executor, Rows
from service.postgres.error_classification import RETRYABLE
from service.postgres.pool import Pool
from service.postgres.queries import Query, maybe
from service.problems import Unavailable
from service.telemetry import RequestContext, counter, current, gauge, log
from service.timeouts import DATABASE_TIMEOUTS, DatabaseTimeouts


@attrs.frozen
class Position:
    """A position in the write-ahead log. Positions of different histories (clusters, timelines) are not comparable."""

    history: str
    position: int


FIND_POSITION = maybe("system.find_position", Position)
FIND_REPLAYED = maybe("system.find_replayed", Position)
# The position that the replica must have replayed before it answers the current request.
required_position: ContextVar[Position] = ContextVar("required_position")
# Seconds before a lagging replica is asked again: the first pause, and the longest.
FIRST_PAUSE, MAX_PAUSE = 0.0005, 0.008
USED = gauge("replica_used", "Workers that read from the replica now")
READS = counter("replica_reads_total", "Queries that a replica may answer", answered_by=("replica", "primary"))


class UsePrimaryError(asyncpg.PostgresError):
    """The replica cannot answer this read. It is a PostgresError because the connection stays usable."""


class ReplicaUnusableError(UsePrimaryError):
    """The replica lags or does not follow the primary, so it cannot answer other reads either."""


class NotAReplicaError(ReplicaUnusableError):
    """The server accepts writes: it was promoted, or the URL names the wrong one."""

    def __init__(self) -> None:
        super().__init__("it is not a replica")


class ReplicaConnection(PooledConnection):
    """A connection to a replica, and the position that it had replayed when last asked."""

    __slots__ = ("replayed",)

    def __init__(self, connection: asyncpg.Connection, expires_at: float, address: Address) -> None:
        super().__init__(connection, expires_at, address)
        self.replayed = Position("", 0)

    def has_replayed(self, wanted: Position) -> bool:
        """Whether the replica is known to have replayed `wanted`."""
        return self.replayed.history == wanted.history and self.replayed.position >= wanted.position


class ReplicaPool(Pool):
    """Connections to replicas; each statement waits until its replica has replayed ``required_position``."""

    server = "replica"
    default_target = "standby"
    connection_class = ReplicaConnection

    def __init__(
        self,
        url: str,
        *,
        max_lag: int,
        timeouts: DatabaseTimeouts = DATABASE_TIMEOUTS,
        **options: Any,  # noqa: ANN401 - Pool declares their types
    ) -> None:
        """Prepare connections to `url` with a Pool's `options`; a replica has `max_lag` milliseconds to catch up."""
        super().__init__(url, timeouts=timeouts, **options)
        self._max_lag = max_lag / 1000
        self._outages = None  # ReplicaRouter logs whether the replica is used
        self._budget -= timeouts.acquire  # reserved for the primary, if the replica does not answer

    @override
    async def _run(
        self,
        pooled: PooledConnection,
        query: Query[..., Any],
        arguments: tuple[Any, ...],
        deadline: float,
        context: RequestContext,
        *,
        read_only: bool = False,
    ) -> Rows:
        assert isinstance(pooled, ReplicaConnection)  # noqa: S101 - as connection_class makes them
        wanted = required_position.get()
        try:
            if not pooled.has_replayed(wanted):
                async with asyncio.timeout(self.timeouts.replica):
                    await self._catch_up(pooled, wanted, deadline, context)
            return await super()._run(pooled, query, arguments, deadline, context, read_only=read_only)
        except RETRYABLE as error:  # replay removed rows that this read needs; the primary still has them
            raise UsePrimaryError(str(error)) from error

    async def _catch_up(
        self, pooled: ReplicaConnection, wanted: Position, deadline: float, context: RequestContext
    ) -> None:
        """Wait until the replica has replayed `wanted`. Raises ReplicaUnusableError.

        Each connection is asked, because it can lead to a different server.
        """
        pause, catch_up_deadline = FIRST_PAUSE, monotonic() + self._max_lag
        while True:
            rows = await super()._run(pooled, FIND_REPLAYED, (), deadline, context)
            if not rows:
                raise NotAReplicaError
            replayed = pooled.replayed = Position(*rows[0])
            if pooled.has_replayed(wanted):
                return
            if replayed.history != wanted.history:
                raise ReplicaUnusableError(f"its history is {replayed.history}, the primary's {wanted.history}")
            if monotonic() >= catch_up_deadline:
                raise ReplicaUnusableError(f"it is {wanted.position - replayed.position} bytes of log behind")
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE)


class ReplicaRouter:
    """Sends marked reads to a replica while it is usable, and everything else to the primary."""

    def __init__(self, primary: Pool, replica: ReplicaPool) -> None:
        self.primary = primary
        self.replica = replica
        self.timeouts = primary.timeouts
        self.uses_replica: bool | None = None
        """None before the first check."""
        self._is_promoted = False
        self._asking: asyncio.Task[Position] | None = None
        """The question for the primary's position that is under way; `_next` is sent after it."""
        self._next: asyncio.Task[Position] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Provide connections until the end of the context, and check the replica periodically."""
        async with self.primary.open(), self.replica.open():
            USED.set_function(lambda: bool(self.uses_replica))
            watching = asyncio.create_task(self._watch())
            try:
                yield
            finally:
                tasks = [task for task in (watching, self._asking, self._next) if task]
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` as a Pool does: on the replica if that is allowed and possible, otherwise on the primary."""
        if not query.replica_ok:
            return await self.primary.fetch(query, arguments)
        if self.uses_replica:
            with suppress(UsePrimaryError):
                rows = await self._read(query, arguments)
                READS.inc(answered_by="replica")
                return rows
        READS.inc(answered_by="primary")
        return await self.primary.fetch(query, arguments)

    def transaction(self) -> AbstractAsyncContextManager[Executor]:
        """Run the statements of the context as one transaction, on the primary."""
        return self.primary.transaction()

    async def _read(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` on the replica.

        Raises UsePrimaryError if the primary has to answer; Unavailable if the primary is unavailable as well, or the
        request's time is up.
        """
        try:
            required_position.set(await self._current_position())
        except asyncpg.PostgresError as error:
            raise self._disable(error) from error
        try:
            return await self.replica.fetch(query, arguments)
        except (Unavailable, ReplicaUnusableError) as error:
            if isinstance(error.__cause__, asyncpg.QueryCanceledError):
                raise  # it would take as long on the primary
            raise self._disable(error.__cause__ or error) from error
        except asyncpg.PostgresError as error:  # the primary's result counts
            raise UsePrimaryError(str(error)) from error

    async def _current_position(self) -> Position:
        """Return the primary's position, asked for after this call began: an earlier answer could be too old."""
        if self._next is None:
            # Several requests share the question: it runs in the context of none.
            self._next = asyncio.get_running_loop().create_task(self._ask(self._asking), context=Context())
            self._next.add_done_callback(_retrieve_exception)
        asked = self._next
        context = current.get() or RequestContext("")
        began = monotonic()
        # Not cancelled with this request, because others wait for it, too. The read itself needs some of the time.
        timeout = self.timeouts.request - context.database_used - self.timeouts.acquire
        await asyncio.wait([asked], timeout=timeout)
        context.database_used += monotonic() - began
        if not asked.done():
            raise Unavailable(NO_ANSWER)
        return asked.result()

    async def _ask(self, before: asyncio.Task[Position] | None) -> Position:
        if before:
            await asyncio.wait([before])
        self._asking, self._next = self._next, None
        rows = await self.primary.fetch(FIND_POSITION, ())
        if not rows:
            raise ReplicaUnusableError("the database is not a primary")
        return Position(*rows[0])

    async def _watch(self) -> None:
        """Check periodically whether the replica is usable."""
        while True:
            with suppress(UsePrimaryError, Unavailable):
                is_replica = await self._read(FIND_REPLAYED, ())
                self._set_state(None if is_replica else NotAReplicaError())
            await asyncio.sleep(self.timeouts.replica_check)

    def _disable(self, error: BaseException) -> UsePrimaryError:
        """Stop using the replica until the next check."""
        self._set_state(error)
        return UsePrimaryError(str(error))

    def _set_state(self, error: BaseException | None) -> None:
        """Use the replica unless there is an `error`.

        Logs each change; a promoted replica once more, because it needs an operator.
        """
        usable, is_promoted = error is None, isinstance(error, NotAReplicaError)
        is_news = usable is not self.uses_replica or (is_promoted and not self._is_promoted)
        self.uses_replica, self._is_promoted = usable, is_promoted
        if is_news and usable:
            log.info("replica in use")
        elif is_news:
            log.warning("replica not used", reason=str(error) or type(error).__name__)


def _retrieve_exception(asked: asyncio.Task[Position]) -> None:
    """Retrieve the exception in case all waiting requests are gone: asyncio would log it as never retrieved."""
    _ = asked.cancelled() or asked.exception()
