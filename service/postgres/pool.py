"""The connections: leased from asyncpg's pool, and kept by this process from request to request."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from math import inf
from time import perf_counter
from typing import Any

import asyncpg

from service.postgres.connection import Lease
from service.postgres.database import Rows
from service.postgres.errors import AWAY, FOR_NOW, STALE, UNDONE
from service.postgres.failover import Hosts
from service.postgres.queries import Count, Query
from service.postgres.slow_queries import SlowQueries, explain
from service.postgres.wait_queue import Waiting
from service.problems import Unavailable
from service.telemetry import Counter, Gauge, Metrics, RequestContext, current, log
from service.timeouts import AGAIN, ANSWER, CLOSE, CLOSE_ALL, CLOSE_SILENT, CONNECT, OLD, WAIT


class Pool:
    """Runs statements, each on a connection of its own meanwhile.

    asyncpg's pool makes the connections, up to `size`. Asking it for one and giving it back for each request would
    cost as much as the query: an object around the connection, a task to give it back in, a round trip to reset it.
    So a connection stays here until it fails or is old. That is safe because no file in ``sql/`` changes the state of
    its connection.
    """

    # Seconds of a request's time that a statement leaves to what comes after it.
    _kept = 0.0

    def __init__(  # noqa: PLR0913 - each is an operator's setting
        self,
        url: str,
        *,
        size: int = 1,
        statement_cache: int = 100,
        statement_timeout: int = 0,
        lock_timeout: int = 0,
        slow_query: int = 0,
    ) -> None:
        """Lend up to `size` connections to `url`.

        Timeouts are in milliseconds; 0 leaves them to the role. A query that takes longer than `slow_query`, in
        milliseconds, is logged; 0: none is.
        """
        self._hosts = Hosts(url)
        timeouts = {"statement_timeout": statement_timeout, "lock_timeout": lock_timeout}
        # Only those that are wanted: PgBouncer refuses them at the start of a connection.
        settings = {name: str(milliseconds) for name, milliseconds in timeouts.items() if milliseconds}
        if settings:
            # What was reviewed is what runs. By itself, PostgreSQL plans some statements anew each time: to list ten of
            # 10,000 pets took 236 µs, not 128.
            settings["plan_cache_mode"] = "force_generic_plan"
        self._options: dict[str, Any] = {
            "min_size": 0,
            "max_size": size,
            "max_inactive_connection_lifetime": 0,
            "statement_cache_size": statement_cache,
            "server_settings": settings,
            "timeout": CONNECT,
            "connect": self._hosts.connect,
        }
        self._url = url
        self._size = size
        self._prepares = statement_cache > 0
        self._leases = 0
        # PgBouncer has one statement for all who prepare the same text: after a change of the schema, it must differ.
        self._changes, self._remark = 0, ""
        self._is_away = False
        self.metrics: Metrics | None = None  # set where somebody asks for them
        self._slow = slow_query / 1000 or inf
        self._slow_queries = SlowQueries(self.plan)
        self._idle: list[Lease] = []
        self._waiting: Waiting[Lease] = Waiting(self._put)
        self._making: set[asyncio.Task[None]] = set()
        self._giving_back: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be ready until the end of the context; then close all connections, in the end by force."""
        self._loop = asyncio.get_running_loop()
        self._pool = await asyncpg.create_pool(self._url, **self._options)
        try:
            yield
        finally:
            await self._slow_queries.close()
            for making in self._making:
                making.cancel()
            self._forget()
            with suppress(TimeoutError):  # asyncpg's pool ends by force then
                await asyncio.wait_for(self._pool.close(), timeout=CLOSE_ALL)

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` and return its rows; of a Count, one row: how many it changed.

        Raises Unavailable where PostgreSQL does not answer in time, asyncpg.PostgresError where it refuses.
        """
        # Outside of a request, a statement has as much time as one.
        context = current.get() or RequestContext("")
        until = pause = 0.0
        has_all = True
        while True:
            lease = self._idle.pop() if self._idle else await self._take(context)
            if not until:
                until = perf_counter() + ANSWER
                if not context.until:
                    context.until = until + WAIT
                elif until > (end := context.until - self._kept):
                    if until > end + ANSWER:
                        self._put(lease)
                        raise Unavailable("The database does not answer")
                    has_all, until = False, end
            try:
                rows = await self._run(lease, query, arguments, until, context)
            except BaseException as error:
                self._part(lease, error, had_all=has_all and pause == 0)
                if isinstance(error, UNDONE):
                    pause = 2 * pause or AGAIN
                    if perf_counter() + pause + WAIT > until:
                        raise Unavailable("Too many others change the same") from error
                    # At random, so that those who met do not meet again; nor at once, when who won has yet to go on.
                    await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - no secret
            else:
                self._put(lease)
                return rows

    def _part(self, lease: Lease, error: BaseException, *, had_all: bool) -> None:
        """Keep or close the connection on which `error` came; raise what it means, unless the query may run again."""
        if isinstance(error, STALE):
            lease.statements.clear()
            self._changes += 1
            self._remark = f"-- prepared after {self._changes} changes\n"
            self._put(lease)
        elif isinstance(error, UNDONE):
            self._put(lease)
        elif isinstance(error, AWAY):
            self._let_go(lease, error, had_all=had_all)
            raise Unavailable("The database does not answer") from error
        elif isinstance(error, asyncpg.PostgresError):
            self._put(lease)
            raise error
        else:
            self._give_back(lease)
            # What was closed before has sent nothing; other errors of the client say that the query is called wrongly.
            if not (isinstance(error, asyncpg.InterfaceError) and lease.closed):
                raise error

    async def _run(
        self, lease: Lease, query: Query[..., Any], arguments: tuple[Any, ...], until: float, context: RequestContext
    ) -> Rows:
        rows: Rows | None = None
        began = perf_counter()
        left = until - began
        try:
            if self._prepares:
                statement = lease.statements.get(query)
                if statement is None:
                    text = query.sql + self._remark
                    statement = lease.statements[query] = await lease.connection.prepare(text, timeout=left)
                    left = until - perf_counter()
                rows = await statement.fetch(*arguments, timeout=left)
                if isinstance(query, Count):
                    rows = changed(statement.get_statusmsg())
            # An old PgBouncer hands each transaction to another connection, which knows no prepared statement.
            elif isinstance(query, Count):
                rows = changed(await lease.connection.execute(query.sql, *arguments, timeout=left))
            else:
                rows = await lease.connection.fetch(query.sql, *arguments, timeout=left)
            return rows
        finally:
            seconds = perf_counter() - began
            if self.metrics:
                number = None if rows is None else rows[0][0] if isinstance(query, Count) else len(rows)
                self.metrics.query(query.name, seconds, number)
            context.queries += 1
            context.database_seconds += seconds
            if seconds > self._slow:
                self._slow_queries.note(query, seconds)

    def sample(self, metrics: Metrics) -> None:
        """Say how many connections are in use now, and how many are waited for."""
        metrics.set(Gauge.CONNECTIONS_USED, self._leases - len(self._idle))
        metrics.set(Gauge.CONNECTIONS_IDLE, len(self._idle))
        metrics.set(Gauge.CONNECTIONS_WAITING, len(self._waiting))
        metrics.set(Gauge.CONNECTIONS_MOST, self._size)

    async def plan(self, query: Query[..., Any]) -> str | None:
        """Return the plan that PostgreSQL makes of `query` for whatever arguments; None: nobody can be asked now."""
        if not self._idle or self._waiting:
            return None
        lease = self._idle.pop()
        try:
            async with asyncio.timeout(ANSWER):
                plan = await explain(lease.connection, query)
        except (*AWAY, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._give_back(lease)
            return None
        self._put(lease)
        return plan

    async def _take(self, context: RequestContext) -> Lease:
        """Return the connection that becomes free, or is made, in time and in turn."""
        began = self._loop.time()
        # All wait equally long: who has less time left is not heard in time.
        if left(context) < WAIT:
            raise Unavailable("The database does not answer")
        self._make_one_more()
        try:
            return await self._waiting.wait(began + WAIT)
        except TimeoutError as error:
            raise Unavailable("The database does not answer") from error
        finally:
            context.waited_seconds += self._loop.time() - began

    def _make_one_more(self) -> None:
        """Begin to make a connection, if there may be one more; it goes to who waits longest then."""
        if self._leases < self._size:
            self._leases += 1
            making = self._loop.create_task(self._make())
            self._making.add(making)
            making.add_done_callback(self._making.discard)

    async def _make(self) -> None:
        try:
            lease = await self._connect()
        except BaseException as error:
            self._leases -= 1
            if isinstance(error, asyncio.CancelledError):
                raise
            self._waiting.refuse(error)
            if self._waiting:
                self._make_one_more()
        else:
            self._put(lease)

    async def _connect(self) -> Lease:
        """Return a new connection. The log is told once when there is none to be had, and once when there is again."""
        try:
            connection = await self._pool.acquire(timeout=CONNECT)
        except (*AWAY, asyncpg.PostgresError) as error:
            if not self._is_away:
                self._is_away = True
                self._tell(error)
            # A wrong password or a missing database too: it is the operator's to mend, and nothing was done.
            raise Unavailable("The database does not answer") from error
        if self.metrics:
            self.metrics.count(Counter.CONNECTION_CREATED)
        if self._is_away:
            self._is_away = False
            self._tell(None)
        return Lease(connection, self._loop.time() + OLD, self._hosts.last)

    def _tell(self, error: BaseException | None) -> None:
        """Tell the log that there is no connection to be had, or that there is again."""
        if error:
            log.error("database is away", reason=str(error) or type(error).__name__)
        else:
            log.info("database is back")

    def _put(self, lease: Lease) -> None:
        """Give `lease` to who waits longest; if nobody does, keep it. Old, it is closed."""
        if lease.old_at < self._loop.time():
            self._give_back(lease)
        elif not self._waiting.give(lease):
            self._idle.append(lease)

    def _forget(self, seconds: float = CLOSE) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._give_back(self._idle.pop(), seconds)

    def _let_go(self, lease: Lease, error: Exception, *, had_all: bool) -> None:
        """Keep a connection that is as good as before `error`, and close any other."""
        if isinstance(error, FOR_NOW):
            self._put(lease)
            return
        # Where this connection led, to a silent server or one that is no primary any more, the others lead.
        # A statement that is repeated, or comes late in its request, has less time than PostgreSQL has to end it: then
        # its silence means nothing.
        if isinstance(error, TimeoutError) and had_all:
            self._give_back(lease, CLOSE_SILENT)
            self._hosts.doubt(lease.place)
            self._forget(CLOSE_SILENT)
        else:
            self._give_back(lease)
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                self._forget()

    def _give_back(self, lease: Lease, seconds: float = CLOSE) -> None:
        """Close a connection, with what still runs on it; nobody waits for that."""
        task = self._loop.create_task(self._close(lease, seconds))
        self._giving_back.add(task)
        task.add_done_callback(self._giving_back.discard)

    async def _close(self, lease: Lease, seconds: float) -> None:
        try:
            # What does not close in time, asyncpg ends by force; it takes the connection back in any case.
            with suppress(*AWAY, asyncpg.PostgresError, asyncpg.InterfaceError):
                await lease.connection.close(timeout=seconds)
        finally:
            self._leases -= 1
            if self._waiting:
                self._make_one_more()


def left(context: RequestContext) -> float:
    """Return how many seconds a request has for the database, from its first statement on."""
    now = perf_counter()
    context.until = context.until or now + WAIT + ANSWER
    return context.until - now


def changed(status: str | None) -> list[tuple[int]]:
    """Return the number at the end of PostgreSQL's ``DELETE 3`` as a row."""
    return [(int((status or "0").rpartition(" ")[2]),)]
