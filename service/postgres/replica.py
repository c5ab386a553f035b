"""Reads on a replica, if DATABASE_REPLICA_URL names one: of the queries marked ``replica: ok``, and of no others.

A read finds everything that any client was told before, by any process: a logout, a new pet. For that, it first asks
the primary for the current position of its log, and runs on a replica that has replayed that much ("ReadIndex":
Ongaro, Consensus, 6.4, 2014). Concurrent reads share the question. A replica that is behind has
DATABASE_REPLICA_MAX_LAG to catch up; after that, and if it fails, the primary answers, and the client sees no
difference.
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

from service.database_url import Address, DatabaseUrl
from service.postgres.connection import PooledConnection
from service.postgres.connections import NO_ANSWER
from service.postgres.database import Executor, Rows
from service.postgres.errors import RETRYABLE
from service.postgres.pool import Pool
from service.postgres.queries import Query
from service.postgres.readers import maybe
from service.problems import Unavailable
from service.telemetry import RequestContext, counter, current, gauge, log
from service.timeouts import DATABASE_TIMEOUTS, DatabaseTimeouts


@attrs.frozen
class Position:
    """A position in the write-ahead log. Positions of different histories (clusters, timelines) do not compare."""

    history: str
    position: int


FIND_POSITION = maybe("system.find_position", Position)
FIND_REPLAYED = maybe("system.find_replayed", Position)
# What the replica has to have replayed before it answers the current request.
needed: ContextVar[Position] = ContextVar("needed")
# Seconds until a replica that is behind is asked again, at first and at most.
FIRST_PAUSE, LONGEST_PAUSE = 0.0005, 0.008
USED = gauge("replica_used", "Workers that read from the replica now")
READS = counter("replica_reads_total", "Queries that a replica may answer", answered_by=("replica", "primary"))


class PassedOverError(asyncpg.PostgresError):
    """The replica cannot answer this read; its connection is as good as before, as after any error of PostgreSQL."""


class NotCurrentError(PassedOverError):
    """The replica has not replayed what is needed, and cannot answer other reads either."""


class NotAReplicaError(NotCurrentError):
    """The server takes writes: it was promoted, or the URL names the wrong one."""

    def __init__(self) -> None:
        super().__init__("it is not a replica")


class ReplicaConnection(PooledConnection):
    """A connection, and what its server had replayed when it was last asked."""

    __slots__ = ("replayed",)

    def __init__(self, connection: asyncpg.Connection, expires_at: float, address: Address) -> None:
        super().__init__(connection, expires_at, address)
        self.replayed = Position("", 0)

    def has(self, wanted: Position) -> bool:
        """Whether `wanted` had been replayed by then."""
        return self.replayed.history == wanted.history and self.replayed.position >= wanted.position


class ReplicaPool(Pool):
    """Connections to replicas, none of which answers before it has replayed what is ``needed``."""

    server = "replica"

    def __init__(
        self,
        url: str,
        *,
        max_lag: int,
        timeouts: DatabaseTimeouts = DATABASE_TIMEOUTS,
        **options: Any,  # noqa: ANN401 - a Pool's own
    ) -> None:
        """Connect to `url` as a Pool with these `options`; wait `max_lag` milliseconds for a replica to catch up."""
        super().__init__(url, timeouts=timeouts, **options)
        self._max_lag = max_lag / 1000
        self._outages = None  # Replicated logs more
        self._budget -= timeouts.acquire  # for the primary's answer

    @override
    def _parse(self, url: str) -> DatabaseUrl:
        parsed = super()._parse(url)
        if len(parsed.addresses) > 1 and not parsed.target_session_attrs:
            return attrs.evolve(parsed, target_session_attrs="standby")
        return parsed

    @override
    async def _open_connection(self) -> PooledConnection:
        opened = await super()._open_connection()
        return ReplicaConnection(opened.connection, opened.expires_at, opened.address)

    @override
    async def _run(
        self,
        connection: PooledConnection,
        query: Query[..., Any],
        arguments: tuple[Any, ...],
        until: float,
        context: RequestContext,
        *,
        read_only: bool = False,
    ) -> Rows:
        assert isinstance(connection, ReplicaConnection)  # noqa: S101 - as _open_connection() makes them
        wanted = needed.get()
        try:
            if not connection.has(wanted):
                async with asyncio.timeout(self.timeouts.replica):
                    await self._catch_up(connection, wanted, until, context)
            return await super()._run(connection, query, arguments, until, context, read_only=read_only)
        except RETRYABLE as error:  # replay removed what this read needs, which the primary still has
            raise PassedOverError(str(error)) from error

    async def _catch_up(
        self, connection: ReplicaConnection, wanted: Position, until: float, context: RequestContext
    ) -> None:
        """Wait until the replica has replayed `wanted`. Each connection is asked: it may lead to another server."""
        pause, deadline = FIRST_PAUSE, monotonic() + self._max_lag
        while True:
            rows = await super()._run(connection, FIND_REPLAYED, (), until, context)
            if not rows:
                raise NotAReplicaError
            connection.replayed = Position(*rows[0])
            if connection.has(wanted):
                return
            if connection.replayed.history != wanted.history:
                raise NotCurrentError(f"its history is {connection.replayed.history}, the primary's {wanted.history}")
            if monotonic() >= deadline:
                raise NotCurrentError(f"it is {wanted.position - connection.replayed.position} bytes of log behind")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


class Replicated:
    """The connections to the primary and to a replica."""

    def __init__(self, primary: Pool, replica: ReplicaPool) -> None:
        self.primary = primary
        self.replica = replica
        self.used: bool | None = None
        """Whether the replica answers; None before the first check."""
        self._is_promoted = False
        self._asking: asyncio.Task[Position] | None = None
        self._next: asyncio.Task[Position] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be ready until the end of the context, and check the replica meanwhile."""
        async with self.primary.open(), self.replica.open():
            USED.set_function(lambda: bool(self.used))
            watching = asyncio.create_task(self._watch())
            try:
                yield
            finally:
                tasks = [task for task in (watching, self._asking, self._next) if task]
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` and return its rows, as a Pool does; on the replica if it may and can run there."""
        if not query.on_replica:
            return await self.primary.fetch(query, arguments)
        if self.used:
            with suppress(PassedOverError):
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

        Raises PassedOverError if the primary has to answer; Unavailable if that is away, or time is over.
        """
        try:
            needed.set(await self._position())
        except asyncpg.PostgresError as error:
            raise self._set_aside(error) from error
        try:
            return await self.replica.fetch(query, arguments)
        except (Unavailable, NotCurrentError) as error:
            if isinstance(error.__cause__, asyncpg.QueryCanceledError):
                raise  # on the primary it would take as long again
            raise self._set_aside(error.__cause__ or error) from error
        except asyncpg.PostgresError as error:  # the primary's word counts
            raise PassedOverError(str(error)) from error

    async def _position(self) -> Position:
        """Return the position of the primary's log, asked after this call began: an earlier answer may be too old."""
        if self._next is None:
            # In no request's context: it is asked for several.
            self._next = asyncio.get_running_loop().create_task(self._ask(self._asking), context=Context())
            self._next.add_done_callback(_retrieve)
        asked = self._next
        context = current.get() or RequestContext("")
        timeouts = self.primary.timeouts
        began = monotonic()
        # Not cancelled with this request, because others wait for it, too. Some time must be left to read.
        await asyncio.wait([asked], timeout=timeouts.request - context.database_used - timeouts.acquire)
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
            raise NotCurrentError("the database is not a primary")
        return Position(*rows[0])

    async def _watch(self) -> None:
        """Check the replica again and again, to use it or not."""
        while True:
            with suppress(PassedOverError, Unavailable):
                is_replica = await self._read(FIND_REPLAYED, ())
                self._set_used(None if is_replica else NotAReplicaError())
            await asyncio.sleep(self.primary.timeouts.replica_check)

    def _set_aside(self, error: BaseException) -> PassedOverError:
        """Do not use the replica until the next check."""
        self._set_used(error)
        return PassedOverError(str(error))

    def _set_used(self, refusal: BaseException | None) -> None:
        """Use the replica, or do not; log each change, and once what will not pass by itself."""
        used, is_promoted = refusal is None, isinstance(refusal, NotAReplicaError)
        is_news = used is not self.used or (is_promoted and not self._is_promoted)
        self.used, self._is_promoted = used, is_promoted
        if is_news and used:
            log.info("replica in use")
        elif is_news:
            log.warning("replica not used", reason=str(refusal) or type(refusal).__name__)


def _retrieve(asked: asyncio.Task[Position]) -> None:
    """Retrieve the exception, which nobody does if all requests that asked are gone."""
    _ = asked.cancelled() or asked.exception()
