"""Reads on a standby, where DATABASE_REPLICA_URL names one: of the queries that say ``replica: ok``, and of no others.

Whoever reads finds all that anybody was told before, whichever process told it: a logout, a pet. For that, each such
read asks the primary first up to where its log is now, and runs on a standby that has replayed so much ("ReadIndex":
Ongaro, Consensus, 6.4, 2014). Reads that come at the same time share that question. What the standby lacks, it may
catch up with for DATABASE_REPLICA_MAX_LAG; then, and whenever it fails, the primary answers, and the client sees no
difference.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import Context, ContextVar
from typing import Any

import asyncpg
import attrs
from asyncpg.pool import PoolConnectionProxy
from typing_extensions import override

from service.postgres.connection import Lease
from service.postgres.database import Rows
from service.postgres.errors import UNDONE
from service.postgres.failover import TARGET, Place, several
from service.postgres.pool import Pool, left
from service.postgres.queries import Query
from service.postgres.readers import maybe
from service.problems import Unavailable
from service.telemetry import Counter, Gauge, Metrics, RequestContext, current, log
from service.timeouts import LOOK, STANDBY, WAIT


@attrs.frozen
class Position:
    """A place in a log. Those of another history, of another cluster or from before a failover, are no measure."""

    history: str
    position: int


FIND_POSITION = maybe("system.find_position", Position)
FIND_REPLAYED = maybe("system.find_replayed", Position)
# What the standby has to have replayed before it answers the request at hand.
needed: ContextVar[Position] = ContextVar("needed")
# Seconds until a standby that is behind is asked again, at first and at most.
SOON, LATER = 0.0005, 0.008


class PassedOverError(asyncpg.PostgresError):
    """The standby cannot answer this one; its connection is as good as before, as after any refusal of PostgreSQL."""


class NotCurrentError(PassedOverError):
    """The standby has not replayed what is needed, and cannot answer any other either."""


class NoStandbyError(NotCurrentError):
    """The standby takes writes: it was promoted, and only other settings bring a standby back."""

    def __init__(self) -> None:
        super().__init__("it is no standby")


class StandbyLease(Lease):
    """A connection, and what the server at its other end had replayed when it was asked last."""

    __slots__ = ("replayed",)

    def __init__(self, connection: PoolConnectionProxy, old_at: float, place: Place | None) -> None:
        super().__init__(connection, old_at, place)
        self.replayed = Position("", 0)

    def has(self, wanted: Position) -> bool:
        """Whether `wanted` was replayed by then."""
        return self.replayed.history == wanted.history and self.replayed.position >= wanted.position


class Standby(Pool):
    """Connections to standbys, none of which answers before it has replayed what is ``needed``."""

    _kept = WAIT  # for the primary's answer

    def __init__(self, url: str, *, max_lag: int, **options: int) -> None:
        """Lend connections to `url`, as a Pool with these `options` does; wait for `max_lag` milliseconds."""
        if several(url) and TARGET not in url:
            url += f"{'&' if '?' in url else '?'}{TARGET}=standby"
        super().__init__(url, **options)
        self._max_lag = max_lag / 1000

    @override
    async def _connect(self) -> Lease:
        lease = await super()._connect()
        return StandbyLease(lease.connection, lease.old_at, lease.place)

    @override
    def sample(self, metrics: Metrics) -> None:
        metrics.set(Gauge.REPLICA_CONNECTIONS_USED, self._leases - len(self._idle))
        metrics.set(Gauge.REPLICA_CONNECTIONS_IDLE, len(self._idle))
        metrics.set(Gauge.REPLICA_CONNECTIONS_WAITING, len(self._waiting))
        metrics.set(Gauge.REPLICA_CONNECTIONS_MOST, self._size)

    @override
    def _tell(self, error: BaseException | None) -> None:
        """Leave it to Replicated, which knows more."""

    @override
    async def _run(
        self, lease: Lease, query: Query[..., Any], arguments: tuple[Any, ...], until: float, context: RequestContext
    ) -> Rows:
        assert isinstance(lease, StandbyLease)  # noqa: S101 - as _connect() makes them
        wanted = needed.get()
        try:
            if not lease.has(wanted):
                async with asyncio.timeout(STANDBY):
                    await self._catch_up(lease, wanted, until, context)
            return await super()._run(lease, query, arguments, until, context)
        except UNDONE as error:  # replay removed what this read needs; the primary never does
            raise PassedOverError(str(error)) from error

    async def _catch_up(self, lease: StandbyLease, wanted: Position, until: float, context: RequestContext) -> None:
        """Wait until the standby has replayed `wanted`. On each connection anew: it may lead to another server."""
        pause, patience = SOON, self._loop.time() + self._max_lag
        while True:
            rows = await super()._run(lease, FIND_REPLAYED, (), until, context)
            if not rows:
                raise NoStandbyError
            lease.replayed = Position(*rows[0])
            if lease.has(wanted):
                return
            if lease.replayed.history != wanted.history:
                raise NotCurrentError(f"its history is {lease.replayed.history}, the primary's {wanted.history}")
            if self._loop.time() >= patience:
                raise NotCurrentError(f"it is {wanted.position - lease.replayed.position} bytes of log behind")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LATER)


class Replicated:
    """The primary's connections and a standby's."""

    def __init__(self, primary: Pool, standby: Standby) -> None:
        self.primary = primary
        self.standby = standby
        self.used: bool | None = None
        """Whether the standby answers; None: nobody has looked yet."""
        self._is_promoted = False
        self._asking: asyncio.Task[Position] | None = None
        self._next: asyncio.Task[Position] | None = None

    @property
    def metrics(self) -> Metrics | None:
        """Where is counted; None: nowhere."""
        return self.primary.metrics

    @metrics.setter
    def metrics(self, metrics: Metrics) -> None:
        self.primary.metrics = self.standby.metrics = metrics

    def sample(self, metrics: Metrics) -> None:
        """Say how many connections to each there are, and whether the standby is used."""
        self.primary.sample(metrics)
        self.standby.sample(metrics)
        metrics.set(Gauge.REPLICA_USED, bool(self.used))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be ready until the end of the context, and look after the standby meanwhile."""
        async with self.primary.open(), self.standby.open():
            watching = asyncio.create_task(self._watch())
            try:
                yield
            finally:
                tasks = [task for task in (watching, self._asking, self._next) if task]
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` and return its rows, as a Pool does; on the standby, where that may and can be."""
        if not query.on_replica:
            return await self.primary.fetch(query, arguments)
        if self.used:
            with suppress(PassedOverError):
                rows = await self._read(query, arguments)
                self._count(Counter.REPLICA_ANSWERED)
                return rows
        self._count(Counter.REPLICA_PASSED_OVER)
        return await self.primary.fetch(query, arguments)

    async def _read(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` on the standby.

        Raises PassedOverError where the primary has to answer; Unavailable where that is away, or time is over.
        """
        try:
            needed.set(await self._position())
        except asyncpg.PostgresError as error:
            raise self._set_aside(error) from error
        try:
            return await self.standby.fetch(query, arguments)
        except (Unavailable, NotCurrentError) as error:
            if isinstance(error.__cause__, asyncpg.QueryCanceledError):
                raise  # on the primary it would take as long again
            raise self._set_aside(error.__cause__ or error) from error
        except asyncpg.PostgresError as error:  # the primary's word counts
            raise PassedOverError(str(error)) from error

    async def _position(self) -> Position:
        """Return up to where the primary's log is, asked after this call began: a question under way may be too old."""
        if self._next is None:
            # In no request's context: it is asked for several.
            self._next = asyncio.get_running_loop().create_task(self._ask(self._asking), context=Context())
            self._next.add_done_callback(_noted)
        asked = self._next
        # Not cancelled with who waits, for it is asked for others too; nor waited for until no time is left to read.
        await asyncio.wait([asked], timeout=left(current.get() or RequestContext("")) - WAIT)
        if not asked.done():
            raise Unavailable("The database does not answer")
        return asked.result()

    async def _ask(self, before: asyncio.Task[Position] | None) -> Position:
        if before:
            await asyncio.wait([before])
        self._asking, self._next = self._next, None
        rows = await self.primary.fetch(FIND_POSITION, ())
        if not rows:
            raise NotCurrentError("the database is no primary")
        return Position(*rows[0])

    async def _watch(self) -> None:
        """Look at the standby, now and again: to use it, or not to."""
        while True:
            try:
                with suppress(PassedOverError, Unavailable):
                    is_standby = await self._read(FIND_REPLAYED, ())
                    self._turn(None if is_standby else NoStandbyError())
            except (asyncpg.InterfaceError, ValueError) as error:  # a senseless URL
                self._set_aside(error)
            await asyncio.sleep(LOOK)

    def _set_aside(self, error: BaseException) -> PassedOverError:
        """Use the standby no more until it has been looked at."""
        self._turn(error)
        return PassedOverError(str(error))

    def _turn(self, refusal: BaseException | None) -> None:
        """Use the standby, or do not; the log is told of each change, and once of what will not pass by itself."""
        used, is_promoted = refusal is None, isinstance(refusal, NoStandbyError)
        is_news = used is not self.used or (is_promoted and not self._is_promoted)
        self.used, self._is_promoted = used, is_promoted
        if is_news and used:
            log.info("replica is used")
        elif is_news:
            log.warning("replica is not used", reason=str(refusal) or type(refusal).__name__)

    def _count(self, event: Counter) -> None:
        if self.metrics:
            self.metrics.count(event)


def _noted(asked: asyncio.Task[Position]) -> None:
    """Have looked at what went wrong, which nobody does where all that asked are gone."""
    _ = asked.cancelled() or asked.exception()
