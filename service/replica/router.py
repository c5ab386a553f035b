"""Reads on a replica, if DATABASE_REPLICA_URL names one: only of queries marked ``replica: ok``.

A read sees everything that any process has confirmed to any client, such as a log-out or a new pet. It first asks the
primary for the current position of its log, and then runs on a replica that has replayed the log up to there
("ReadIndex": Ongaro, Consensus, 6.4, 2014). Concurrent reads share one question. A replica has DATABASE_REPLICA_MAX_LAG
to catch up. If it does not, or fails, the primary answers, and the client notices nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from contextvars import Context
from time import monotonic
from typing import Any

import asyncpg

from service.postgres import NO_ANSWER, Executor, PoolLike, Query, Rows, maybe
from service.problems import Unavailable
from service.replica.pool import (
    FIND_REPLAYED,
    NotAReplicaError,
    Position,
    ReplicaPool,
    ReplicaUnusableError,
    UsePrimaryError,
    required_position,
)
from service.telemetry import RequestContext, counter, current, gauge, log

FIND_POSITION = maybe("system.find_position", Position)
REPLICA_USED = gauge("replica_used", "Workers that read from the replica now")
READS = counter("replica_reads_total", "Queries that a replica may answer", answered_by=("replica", "primary"))


class ReplicaRouter:
    """Sends marked reads to a replica while it is usable, and everything else to the primary."""

    def __init__(self, primary: PoolLike, replica: ReplicaPool) -> None:
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
            REPLICA_USED.set_function(lambda: bool(self.uses_replica))
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
        # Not cancelled with this request, because others wait for it as well. The read itself needs some of the time.
        timeout = self.timeouts.request - context.budget_used - self.timeouts.acquire
        await asyncio.wait([asked], timeout=timeout)
        context.budget_used += monotonic() - began
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
        has_changed = usable is not self.uses_replica or (is_promoted and not self._is_promoted)
        self.uses_replica, self._is_promoted = usable, is_promoted
        if has_changed and usable:
            log.info("replica in use")
        elif has_changed:
            log.warning("replica not used", reason=str(error) or type(error).__name__)


def _retrieve_exception(asked: asyncio.Task[Position]) -> None:
    """Retrieve the exception, which asyncio would otherwise log as never retrieved if all waiting requests are gone."""
    _ = asked.cancelled() or asked.exception()
