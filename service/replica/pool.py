"""Connections to replicas; each statement waits until its replica has replayed enough of the primary's log."""

import asyncio
from contextvars import ContextVar
from time import monotonic
from typing import Any

import asyncpg
import attrs
from typing_extensions import override

from service.database_url import Address
from service.postgres import RETRYABLE, NotSentError, Pool, PooledConnection, Query, Rows, maybe
from service.telemetry import RequestContext


@attrs.frozen
class Position:
    """A position in the write-ahead log. Positions of different histories (clusters, timelines) are not comparable."""

    history: str
    position: int


FIND_REPLAYED = maybe("system.find_replayed", Position)
# The position that the replica must have replayed before it answers the current request.
required_position: ContextVar[Position] = ContextVar("required_position")
# Seconds before a lagging replica is asked again: the first pause, and the longest.
FIRST_PAUSE, MAX_PAUSE = 0.0005, 0.008
# How late a timeout on the replica can fire, in seconds. Kept in reserve, so that the primary still has time to answer.
DELAY = 0.1


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
        """Return whether the replica is known to have replayed `wanted`."""
        return self.replayed.history == wanted.history and self.replayed.position >= wanted.position


class ReplicaPool(Pool):
    """Connections to replicas; each statement waits until its replica has replayed ``required_position``."""

    server = "replica"
    default_target = "standby"
    connection_class = ReplicaConnection

    def __init__(self, url: str, *, max_lag: int, **options: Any) -> None:  # noqa: ANN401 - Pool declares their types
        """Create a pool for `url` with a Pool's `options`; a replica has `max_lag` milliseconds to catch up."""
        super().__init__(url, **options)
        self._max_lag = max_lag / 1000
        self._outages = None  # ReplicaRouter logs whether the replica is used
        self._budget -= self.timeouts.acquire + DELAY  # reserved for the primary, if the replica does not answer

    @override
    async def _run(
        self,
        pooled: PooledConnection,
        query: Query[..., Any],
        arguments: tuple[Any, ...],
        deadline: float,
        context: RequestContext,
    ) -> Rows:
        assert isinstance(pooled, ReplicaConnection)  # noqa: S101 - as connection_class makes them
        wanted = required_position.get()
        try:
            if not pooled.has_replayed(wanted):
                async with asyncio.timeout(self.timeouts.replica):
                    await self._catch_up(pooled, wanted, deadline, context)
            return await super()._run(pooled, query, arguments, deadline, context)
        except TimeoutError:  # the primary needs the rest of the time, so a Pool would not take the server for silent
            self._connector.demote(pooled.address)
            self._close_idle(self.timeouts.close_silent)
            raise
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
            if pooled.connection.is_closed():  # asyncpg would raise an InterfaceError, as for wrong arguments
                raise NotSentError
            pause = min(pause * 2, MAX_PAUSE)
