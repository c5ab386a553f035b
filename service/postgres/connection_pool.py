"""The life cycle of pooled connections: the first is opened with the pool, others on demand; replaced when unusable."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from time import monotonic
from typing import Any

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from service.database_url import Address, DatabaseUrl
from service.postgres.error_classification import (
    NO_ANSWER,
    UNAVAILABLE,
    has_unknown_outcome,
    is_dropped_type,
    is_stale,
    leaves_connection_usable,
)
from service.postgres.failover import MultiHostConnector
from service.postgres.outage_log import OutageLog
from service.postgres.queries import Query
from service.postgres.wait_queue import WaitQueue
from service.problems import Unavailable
from service.telemetry import RequestContext, counter, gauge
from service.timeouts import DatabaseTimeouts

WRONG_ENCODING = "The encoding of the database is {}: the service needs UTF8"

SERVERS = ("primary", "replica")
CONNECTIONS = gauge("database_connections", "Connections to PostgreSQL", server=SERVERS, state=("used", "idle"))
CONNECTIONS_WAITING = gauge("database_connections_waiting", "Requests waiting for a connection", server=SERVERS)
MAX_CONNECTIONS = gauge("database_connections_max", "Maximum number of connections", server=SERVERS)
CONNECTIONS_CREATED = counter("database_connections_created_total", "Connections made to PostgreSQL")


class PooledConnection:
    """A connection and the statements prepared on it."""

    __slots__ = ("address", "connection", "expires_at", "statements", "usable_until")

    def __init__(self, connection: asyncpg.Connection, expires_at: float, address: Address) -> None:
        """Wrap a connection to `address`, to be replaced at `expires_at` (monotonic seconds)."""
        self.connection = connection
        self.expires_at = expires_at
        self.address = address
        self.usable_until = expires_at
        """When it is too old, or has been idle for too long (monotonic seconds)."""
        self.statements: dict[Query[..., Any], PreparedStatement] = {}

    def is_expired(self) -> bool:
        """Return whether it is too old, or has been idle for too long."""
        return monotonic() >= self.usable_until


class ConnectionPool:
    """Up to `size` connections, each used by one statement or transaction at a time.

    A connection is not reset between uses, which would cost each statement a round trip: no file in ``sql/`` changes
    the state of its connection.
    """

    server: str | None = "primary"
    """The label `server` of these connections in the metrics; None if they are not counted."""
    default_target = "primary"
    """The kind of server to find among several hosts, unless the URL has target_session_attrs."""
    connection_class = PooledConnection

    def __init__(
        self,
        url: str,
        *,
        size: int,
        timeouts: DatabaseTimeouts,
        outages: OutageLog | None,
        **options: Any,  # noqa: ANN401 - asyncpg declares their types
    ) -> None:
        """Create a pool for `url` with asyncpg's `options`; no connection is opened yet.

        Raises ValueError if `url` is invalid.
        """
        self.timeouts = timeouts
        self._size = size
        self._connector = MultiHostConnector(DatabaseUrl.parse(url), timeouts, self.default_target, **options)
        self._connections: set[PooledConnection] = set()
        self._idle: list[PooledConnection] = []
        self._waiters: WaitQueue[PooledConnection] = WaitQueue(self._release)
        self._connecting: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._outages = outages
        self._retry_pause = 0.0
        """Seconds between the last two attempts to connect; 0 after a success."""
        self._retry: asyncio.TimerHandle | None = None
        # Incremented when a statement is stale, to have all prepared again. It is part of their text, because PgBouncer
        # shares one statement among all clients that prepare the same text.
        self._schema_version, self._version_comment = 0, ""
        self._all_closed: asyncio.Event | None = None
        """None until the pool begins to close."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Provide connections until the end of the context, then close them all, abruptly if that takes too long."""
        self._loop = asyncio.get_running_loop()
        if self.server:
            CONNECTIONS.set_function(lambda: len(self._connections) - len(self._idle), server=self.server, state="used")
            CONNECTIONS.set_function(lambda: len(self._idle), server=self.server, state="idle")
            CONNECTIONS_WAITING.set_function(lambda: len(self._waiters), server=self.server)
            MAX_CONNECTIONS.set_function(lambda: self._size, server=self.server)
        self._close_expired()
        self._connect_more(1)  # so that the first request need not wait for it
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
            self._check_all_closed()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), self.timeouts.close_all)
            for pooled in self._connections:
                pooled.connection.terminate()

    async def _wait(self, deadline: float, context: RequestContext) -> PooledConnection:
        """Wait for a connection to be released or opened, and return it. Raises Unavailable."""
        began = monotonic()
        # All waiters have the same timeout. A request with less time would wait past its deadline, so it fails now.
        if self._all_closed or deadline - began < self.timeouts.acquire:
            raise Unavailable(NO_ANSWER)
        self._connect_more(len(self._waiters) + 1)
        try:
            return await self._waiters.wait(self._loop.time() + self.timeouts.acquire)
        except Exception as error:
            raise Unavailable(error.detail if isinstance(error, Unavailable) else NO_ANSWER) from error
        finally:
            context.waited_seconds += monotonic() - began

    def _release(self, pooled: PooledConnection) -> None:
        """Hand the connection to the first waiter, or keep it; close it if it is too old."""
        now = monotonic()
        idle_until = now + self.timeouts.max_idle
        pooled.usable_until = idle_until if idle_until < pooled.expires_at else pooled.expires_at  # noqa: FURB136 - faster
        if pooled.expires_at <= now or self._all_closed:
            self._close_soon(pooled)
        elif not (self._waiters.waiters and self._waiters.give(pooled)):
            self._idle.append(pooled)

    def _release_or_close(self, pooled: PooledConnection, error: BaseException, *, silent: bool) -> None:
        """Release the connection if it is still usable after `error`, otherwise close it.

        The idle connections go to the same server, so they are closed too if it did not respond (`silent`), became
        read-only, dropped the connection or dropped a type.
        """
        self._invalidate_if_stale(error)
        if leaves_connection_usable(error):
            self._release(pooled)
        elif silent:
            self._close_soon(pooled, self.timeouts.close_silent)
            self._connector.demote(pooled.address)
            self._close_idle(self.timeouts.close_silent)
        else:
            self._close_soon(pooled)
            if (
                isinstance(error, asyncpg.ReadOnlySQLTransactionError)
                or has_unknown_outcome(error)
                or is_dropped_type(error)
            ):
                self._close_idle()

    def _invalidate_if_stale(self, error: BaseException | None) -> None:
        """If `error` shows that the schema has changed, have all statements prepared again."""
        if error and (is_stale(error) or isinstance(error, asyncpg.OutdatedSchemaCacheError)):
            self._schema_version += 1
            self._version_comment = f"-- prepared after {self._schema_version} changes\n"
            for pooled in self._connections:
                pooled.statements.clear()

    def _connect_more(self, waiting: int) -> None:
        """Open up to `waiting` connections; after a failure one at a time, with a pause before each attempt."""
        if self._retry or self._all_closed:
            return
        free = self._size - len(self._connections) - len(self._connecting) - len(self._closing)
        wanted = min(1, waiting) if self._retry_pause else waiting
        for _ in range(min(free, wanted - len(self._connecting))):
            # Not in the context of this request: what is logged about connections concerns all requests.
            self._connecting.add(self._loop.create_task(self._connect(), context=Context()))

    async def _connect(self) -> None:
        """Open a connection, and hand it to the first waiter or keep it."""
        try:
            try:
                pooled = await self._open_connection()
            finally:
                self._connecting.discard(asyncio.current_task())
        except Exception as error:  # noqa: BLE001 - asyncpg raises many types, all of which mean that there is none
            self._on_connect_error(error)
            return
        self._retry_pause = 0.0
        if self._outages:
            self._outages.end()
        CONNECTIONS_CREATED.inc()
        self._connections.add(pooled)
        self._release(pooled)
        self._connect_more(len(self._waiters))

    async def _open_connection(self) -> PooledConnection:
        connection, address = await self._connector.connect()
        encoding = connection.get_settings().server_encoding
        if encoding != "UTF8":
            connection.terminate()
            raise Unavailable(WRONG_ENCODING.format(encoding))
        return self.connection_class(connection, monotonic() + self.timeouts.max_age, address)

    def _on_connect_error(self, error: Exception) -> None:
        """Schedule another attempt. Waiters fail only if no other connection can serve them."""
        self._retry_pause = min(self._retry_pause * 2 or self.timeouts.first_retry, self.timeouts.last_retry)
        if not self._retry:
            self._retry = self._loop.call_later(self._retry_pause, self._on_retry)
        if self._connections and self._outages:
            self._outages.report_shortage(error, len(self._connections))
        if self._connections or self._connecting:
            return
        if self._outages:
            self._outages.begin(error)
        self._waiters.fail_all(error)

    def _on_retry(self) -> None:
        self._retry = None
        self._connect_more(len(self._waiters))

    def _close_expired(self) -> None:
        """Close idle connections that have expired, now and periodically."""
        for pooled in [each for each in self._idle if each.is_expired()]:
            self._idle.remove(pooled)
            self._close_soon(pooled)
        self._expiry = self._loop.call_later(min(10, self.timeouts.max_idle / 4), self._close_expired)

    def _close_idle(self, timeout: float | None = None) -> None:
        while self._idle:
            self._close_soon(self._idle.pop(), timeout)

    def _close_soon(self, pooled: PooledConnection, timeout: float | None = None) -> None:
        """Close the connection in a task, cancelling what still runs on it; abruptly after `timeout` seconds."""
        self._connections.discard(pooled)
        closing = self._loop.create_task(self._close(pooled, self.timeouts.close if timeout is None else timeout))
        self._closing.add(closing)
        closing.add_done_callback(self._on_closed)

    async def _close(self, pooled: PooledConnection, timeout: float) -> None:  # noqa: ASYNC109 - asyncpg's own timeout
        with suppress(*UNAVAILABLE, asyncpg.PostgresError, asyncpg.InterfaceError):  # asyncpg has then terminated it
            await pooled.connection.close(timeout=timeout)

    def _on_closed(self, closing: asyncio.Task[None]) -> None:
        self._closing.discard(closing)
        self._connect_more(len(self._waiters))
        self._check_all_closed()

    def _check_all_closed(self) -> None:
        if self._all_closed and not self._connections and not self._closing:
            self._all_closed.set()
