"""Connections are opened once, kept while they are usable, and shared."""

import asyncio
from typing import Self

import asyncpg
import pytest

from service.postgres.database import Database
from service.postgres.pool import Pool
from service.postgres.queries import Count, One, Value
from service.problems import Unavailable
from service.telemetry.context import RequestContext, current
from service.timeouts import DATABASE_TIMEOUTS, DatabaseTimeouts
from tests.support.backends import backends_in_use, terminate, wait_until_gone, wait_until_running
from tests.support.pools import PATIENT, Backend, Opening
from tests.support.statements import Statements


class Row(tuple[object, ...]):
    """A row of any columns."""

    __slots__ = ()

    def __new__(cls, *columns: object) -> Self:
        """Take the columns as positional arguments."""
        return super().__new__(cls, columns)


async def test_open_pool_has_a_connection_before_the_first_statement(
    opening: Opening, backend: Backend, admin: asyncpg.Connection
) -> None:
    """So that the first requests do not wait for it."""
    others = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    before = {row["pid"] for row in await admin.fetch(others)}

    db = await opening(size=2)

    async with asyncio.timeout(10):
        while not (opened := {row["pid"] for row in await admin.fetch(others)} - before):
            pass
    assert opened == {await db.value(backend)}


async def test_connection_is_made_once_and_kept(opening: Opening, backend: Backend) -> None:
    db = await opening(size=2)

    assert await db.value(backend) == await db.value(backend)


async def test_concurrent_statements_get_their_own_connections(
    opening: Opening, statement: Statements, admin: asyncpg.Connection
) -> None:
    db = await opening(size=3)

    assert len(set(await backends_in_use(db, admin, statement, 3))) == 3


async def test_statement_waits_for_a_free_connection(opening: Opening, backend: Backend) -> None:
    db = await opening(size=1)

    assert len(set(await asyncio.gather(*(db.value(backend) for _ in range(20))))) == 1


async def test_waiter_is_served_although_the_connection_is_lost(
    opening: Opening, backend: Backend, write_slowly: Backend, admin: asyncpg.Connection
) -> None:
    db = await opening(size=1)
    under_way = asyncio.create_task(db.value(write_slowly, 60))
    pid = await wait_until_running(admin)
    served: list[int] = []

    async def serve(number: int) -> None:
        await db.value(backend)
        served.append(number)

    waiters = [asyncio.create_task(serve(number)) for number in range(3)]
    await asyncio.sleep(0)
    await terminate(admin, pid)
    # Requests that come while the next connection is opened are served last.
    waiters += [asyncio.create_task(serve(number)) for number in range(3, 6)]
    with pytest.raises(Unavailable):
        await under_way
    await asyncio.gather(*waiters)

    assert served == [0, 1, 2, 3, 4, 5]


async def test_wait_for_a_connection_is_recorded(opening: Opening, sleep: Backend) -> None:
    db = await opening(size=1)
    await db.value(sleep, 0.0)

    async def request() -> RequestContext:
        context = RequestContext("of this task")
        current.set(context)
        await db.value(sleep, 0.2)
        return context

    first, second = await asyncio.gather(request(), request())

    assert first.waited_seconds == 0
    assert second.waited_seconds > 0.1  # it can have started later


async def test_old_connection_is_replaced(
    opening: Opening, backend: Backend, statement: Statements, admin: asyncpg.Connection
) -> None:
    slow: Backend = Value(statement("value integer", "select pg_backend_pid() from pg_sleep(0.1)"), int)
    db = await opening(size=1, timeouts=DatabaseTimeouts(acquire=10, query=30, max_age=0.1))

    first = await db.value(slow)  # the connection has expired when it is released

    assert await db.value(backend) != first
    await wait_until_gone(admin, first)


@pytest.mark.parametrize("statement_cache", [100, 0])
async def test_rows_are_returned_and_changes_counted(
    opening: Opening, statement: Statements, statement_cache: int
) -> None:
    """With prepared statements, and without them, as old PgBouncers require."""
    db = await opening(statement_cache=statement_cache)
    pair: One[..., Row] = One(statement("one Row", "select $1, upper($1)", "word text"), Row)
    nothing: Count[...] = Count(statement("count", "delete from user_model where email = $1", "email text"), int)

    assert await db.one(pair, "a") == ("a", "A")
    assert await db.count(nothing, "nobody's") == 0


@pytest.mark.parametrize(("statement_cache", "prepared"), [(100, True), (0, False)])
async def test_statements_are_prepared_by_default(
    opening: Opening, statement: Statements, *, statement_cache: int, prepared: bool
) -> None:
    db = await opening(statement_cache=statement_cache)
    names = "select count(*)::integer from pg_prepared_statements where name <> ''"
    query: Value[..., int] = Value(statement("value integer", names), int)

    await db.value(query)

    assert (await db.value(query) > 0) is prepared


async def test_query_name_reaches_the_server(opening: Opening, statement: Statements) -> None:
    db = await opening()
    text = "select query from pg_stat_activity where pid = pg_backend_pid()"
    query: Value[..., str] = Value(statement("value text", text), str)

    assert await db.value(query) == query.sql


async def test_timeouts_are_set_on_the_server(opening: Opening, statement: Statements) -> None:
    text = "select current_setting('statement_timeout') || ' ' || current_setting('lock_timeout')"
    query: Value[..., str] = Value(statement("value text", text), str)

    assert await (await opening(statement_timeout=2000, lock_timeout=1000)).value(query) == "2s 1s"
    assert await (await opening()).value(query) == "0 0"


async def test_cancelled_waiter_takes_no_connection(opening: Opening, backend: Backend) -> None:
    """Not even if it is cancelled just as the connection is handed over."""
    db = await opening(size=1)
    first = await db.value(backend)

    async def ask_and_disturb() -> None:
        await db.value(backend)
        waiting.cancel()

    asking = asyncio.create_task(ask_and_disturb())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(db.value(backend))
    patient = asyncio.create_task(db.value(backend))
    await asking

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await patient == first


async def test_cancelled_waiter_is_skipped(opening: Opening, backend: Backend) -> None:
    db = await opening(size=1)
    first = await db.value(backend)
    asking, waiting, patient = (asyncio.create_task(db.value(backend)) for _ in range(3))
    await asyncio.sleep(0)

    waiting.cancel()

    assert [await asking, await patient] == [first, first]


async def test_statement_survives_a_schema_change(
    opening: Opening, statement: Statements, empty_database_url: str
) -> None:
    db = await opening(empty_database_url)
    query: One[..., Row] = One(statement("one Row", "select * from numbers"), Row)
    admin = await asyncpg.connect(empty_database_url)
    await admin.execute("create table numbers as select 1 as number")
    assert await db.one(query) == (1,)

    await admin.execute("alter table numbers add word text default 'one'")

    await admin.close()
    assert await db.one(query) == (1, "one")


async def test_error_leaves_the_connection_usable(opening: Opening, backend: Backend, statement: Statements) -> None:
    db = await opening(size=1)
    first = await db.value(backend)

    with pytest.raises(asyncpg.DivisionByZeroError):
        await db.value(Value(statement("value integer", "select 1 / $1", "divisor integer"), int), 0)

    assert await db.value(backend) == first


async def test_query_called_wrongly_is_an_internal_error(opening: Opening, backend: Backend) -> None:
    """It uses up no connection."""
    db = await opening(size=1)

    for _ in range(2):
        with pytest.raises(asyncpg.InterfaceError, match="the server expects 0 arguments"):
            await db.value(backend, "one too many")

    assert await db.value(backend)


async def test_all_connections_are_closed_at_the_end(
    database_url: str, backend: Backend, admin: asyncpg.Connection
) -> None:
    pool = Pool(database_url, size=3, timeouts=PATIENT)
    async with asyncio.timeout(DATABASE_TIMEOUTS.close_all), pool.open():
        pids = await asyncio.gather(*(Database(pool).value(backend) for _ in range(3)))

    for pid in pids:
        await wait_until_gone(admin, pid)
