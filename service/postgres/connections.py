"""The life of the connections: made when they are needed, kept while they are good, replaced when they are not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

import asyncpg

from service.database_url import DatabaseUrl
from service.postgres.connection import PooledConnection
from service.postgres.errors import UNAVAILABLE, is_stale, keeps_connection, may_have_happened
from service.postgres.failover import MultiHostConnector
from service.postgres.wait_queue import WaitQueue
from service.problems import Unavailable
from service.telemetry import RequestContext, counter, gauge, log
from service.timeouts import DatabaseTimeouts

NO_ANSWER = "The database does not answer"
TOO_MANY_CHANGES = "Too many concurrent changes to the same rows"
WRONG_ENCODING = "The encoding of the database is {}: the service needs UTF8"
# Seconds between two attempts to connect after one has failed, at first and at most.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5

SERVERS = ("primary", "replica")
CONNECTIONS = gauge("database_connections", "Connections to PostgreSQL", server=SERVERS, state=("used", "idle"))
WAITING = gauge("database_connections_waiting", "Requests waiting for a connection", server=SERVERS)
MAX = gauge("database_connections_max", "Maximum number of connections", server=SERVERS)
CREATED = counter("database_connections_created_total", "Connections made to PostgreSQL")


class OutageLog:
    """Logs that the database is unavailable, and that it is available again, once each."""

    def __init__(self) -> None:
        self._is_away = False

    def begin(self, error: Exception) -> None:
        """Note that no connection is left, and that none can be made."""
        if not self._is_away:
            log.error("database unavailable", reason=str(error) or type(error).__name__)
        self._is_away = True

    def end(self) -> None:
        """Note that a connection was made."""
        if self._is_away:
            log.info("database available again")
        self._is_away = False


class ConnectionPool:
    """Up to `size` connections, each used by one statement or transaction at a time.

    A connection stays here until it fails or is too old. It is not reset in between, which would be a round trip for
    each statement: no file in ``sql/`` changes the state of its connection.
    """

    server: str | None = "primary"
    """What the metrics call the server; None if these connections are not to be counted."""

    def __init__(
        self,
        url: str,
        *,
        size: int,
        timeouts: DatabaseTimeouts,
        outages: OutageLog | None,
        **options: Any,  # noqa: ANN401 - asyncpg's own
    ) -> None:
        """Connect to `url` with asyncpg's `options`. Raises ValueError if they would not understand it."""
        self.timeouts = timeouts
        self._size = size
        self._connector = MultiHostConnector(self._parse(url), timeouts, **options)
        self._connections: set[PooledConnection] = set()
        self._idle: list[PooledConnection] = []
        self._waiters: WaitQueue[PooledConnection] = WaitQueue(self._release)
        self._connecting: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._outages = outages
        self._failures = 0
        """Attempts to connect that have failed since the last one that succeeded."""
        self._retry: asyncio.TimerHandle | None = None
        # How often a statement turned out to be stale: those that were prepared before are prepared anew. PgBouncer
        # keeps one statement for all that prepare the same text, which therefore differs by a remark.
        self._schema, self._remark = 0, ""
        self._all_closed: asyncio.Event | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be ready until the end of the context; then close all connections, by force if that takes too long."""
        self._loop = asyncio.get_running_loop()
        if self.server:
            used = {"server": self.server, "state": "used"}
            CONNECTIONS.set_function(lambda: len(self._connections) - len(self._idle), **used)
            CONNECTIONS.set_function(lambda: len(self._idle), server=self.server, state="idle")
            WAITING.set_function(lambda: len(self._waiters), server=self.server)
            MAX.set_function(lambda: self._size, server=self.server)
        self._close_expired()
        try:
            yield
        finally:
            self._all_closed = asyncio.Event()
            self._expiry.cancel()
            if self._retry:
                self._retry.cancel()
            for connecting in self._connecting:
                connecting.cancel()
            self._waiters.fail_all(TimeoutError())
            self._close_idle()
            self._note_closed()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), self.timeouts.close_all)
            for connection in self._connections:
                connection.connection.terminate()

    async def _acquire(self, deadline: float, context: RequestContext) -> PooledConnection:
        """Return the connection that was used last, or wait for one; close those that are lost or too old.

        Raises Unavailable.
        """
        while True:
            connection = self._idle.pop() if self._idle else await self._wait(deadline, context)
            if not connection.is_expired() and not connection.connection.is_closed():
                return connection
            self._close_soon(connection)

    async def _wait(self, deadline: float, context: RequestContext) -> PooledConnection:
        """Return the connection that is released or made next. Raises Unavailable."""
        began = monotonic()
        # All waiters have the same timeout; one with less time left would hear of it too late.
        if self._all_closed or deadline - began < self.timeouts.acquire:
            raise Unavailable(NO_ANSWER)
        self._connect_more(len(self._waiters) + 1)
        try:
            return await self._waiters.wait(self._loop.time() + self.timeouts.acquire)
        except Exception as error:
            raise Unavailable(error.detail if isinstance(error, Unavailable) else NO_ANSWER) from error
        finally:
            context.waited_seconds += monotonic() - began

    def _release(self, connection: PooledConnection) -> None:
        """Give the connection to the first waiter, else keep it; close it if it is too old."""
        now = monotonic()
        connection.idle_until = now + self.timeouts.max_idle
        if connection.expires_at <= now or self._all_closed:
            self._close_soon(connection)
        elif not (self._waiters.waiters and self._waiters.give(connection)):
            self._idle.append(connection)

    def _release_or_close(self, connection: PooledConnection, error: BaseException, *, silent: bool = False) -> None:
        """Release the connection on which `error` came if it is still good, else close it.

        The idle ones lead to the same server: they are closed too if it is `silent` or read-only, or if the
        connection was cut off.
        """
        self._note_stale(error)
        if keeps_connection(error):
            self._release(connection)
        elif silent:
            self._close_soon(connection, self.timeouts.close_silent)
            self._connector.demote(connection.address)
            self._close_idle(self.timeouts.close_silent)
        else:
            self._close_soon(connection)
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError) or may_have_happened(error):
                self._close_idle()

    def _note_stale(self, error: BaseException | None) -> None:
        """Have all statements prepared anew if `error` says that the schema has changed."""
        if error and (is_stale(error) or isinstance(error, asyncpg.OutdatedSchemaCacheError)):
            self._schema += 1
            self._remark = f"-- prepared after {self._schema} changes\n"

    def _connect_more(self, waiting: int) -> None:
        """Make connections for so many waiters; after a failure one at a time, with a pause before each."""
        if self._retry or self._all_closed:
            return
        room = self._size - len(self._connections) - len(self._connecting) - len(self._closing)
        wanted = min(1, waiting) if self._failures else waiting
        for _ in range(min(room, wanted - len(self._connecting))):
            connecting = self._loop.create_task(self._connect())
            self._connecting.add(connecting)
            connecting.add_done_callback(self._connecting.discard)

    async def _connect(self) -> None:
        """Make a connection for the first waiter. It is kept even if the waiter has given up meanwhile."""
        try:
            try:
                connection = await self._open_connection()
            finally:
                self._connecting.discard(asyncio.current_task())
        except Exception as error:  # noqa: BLE001 - also what asyncpg refuses in the URL: nobody can be served
            self._on_connect_error(error)
            return
        self._failures = 0
        if self._outages:
            self._outages.end()
        CREATED.inc()
        self._connections.add(connection)
        self._release(connection)
        self._connect_more(len(self._waiters))

    def _parse(self, url: str) -> DatabaseUrl:
        return DatabaseUrl.parse(url)

    async def _open_connection(self) -> PooledConnection:
        connection, address = await self._connector.connect()
        encoding = connection.get_settings().server_encoding
        if encoding != "UTF8":
            connection.terminate()
            raise Unavailable(WRONG_ENCODING.format(encoding))
        return PooledConnection(connection, monotonic() + self.timeouts.max_age, address)

    def _on_connect_error(self, error: Exception) -> None:
        """Try again after a pause. Waiters fail only if no other connection can serve them."""
        pause = min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE)
        self._failures += 1
        if not self._retry:
            self._retry = self._loop.call_later(pause, self._on_retry)
        if self._connections or self._connecting:
            return
        if self._outages:
            self._outages.begin(error)
        self._waiters.fail_all(error)

    def _on_retry(self) -> None:
        self._retry = None
        self._connect_more(len(self._waiters))

    def _close_expired(self) -> None:
        """Close the idle connections that are too old or were idle for too long, now and again and again."""
        for connection in [each for each in self._idle if each.is_expired()]:
            self._idle.remove(connection)
            self._close_soon(connection)
        self._expiry = self._loop.call_later(min(10, self.timeouts.max_idle / 4), self._close_expired)

    def _close_idle(self, seconds: float | None = None) -> None:
        while self._idle:
            self._close_soon(self._idle.pop(), seconds)

    def _close_soon(self, connection: PooledConnection, seconds: float | None = None) -> None:
        """Close a connection in a task, with what still runs on it, within `seconds`."""
        self._connections.discard(connection)
        closing = self._loop.create_task(self._close(connection, self.timeouts.close if seconds is None else seconds))
        self._closing.add(closing)
        closing.add_done_callback(self._on_closed)

    async def _close(self, connection: PooledConnection, seconds: float) -> None:
        with suppress(*UNAVAILABLE, asyncpg.PostgresError, asyncpg.InterfaceError):  # asyncpg has closed it by force
            await connection.connection.close(timeout=seconds)

    def _on_closed(self, closing: asyncio.Task[None]) -> None:
        self._closing.discard(closing)
        self._connect_more(len(self._waiters))
        self._note_closed()

    def _note_closed(self) -> None:
        if self._all_closed and not self._connections and not self._closing:
            self._all_closed.set()
