"""Connections that the network has cut or dropped."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import asyncpg
import attrs
import pytest

from service.embedded import EmbeddedPostgres
from service.postgres.database import Database
from service.postgres.pool import Pool
from service.postgres.queries import Count, Value
from service.problems import Unavailable
from tests.support.backends import backends_in_use, wait_until_gone
from tests.support.pools import PATIENT, Backend, Opening, url_with_hosts
from tests.support.relay import Relay
from tests.support.statements import Statements

SYNC = b"S\0\0\0\4"  # ends each statement (PostgreSQL's manual, 54.7)
PREPARE = b"tests.query"  # its text, which is sent to prepare it


@attrs.frozen
class Relayed:
    """A pool that connects through a relay, and a connection outside the pool."""

    db: Database
    relay: Relay
    admin: asyncpg.Connection

    async def things(self) -> int:
        """Return the number of things."""
        return int(await self.admin.fetchval("select count(*) from things"))


@pytest.fixture
async def relayed(opening: Opening, empty_database_url: str, server: EmbeddedPostgres) -> AsyncIterator[Relayed]:
    admin = await asyncpg.connect(empty_database_url)
    await admin.execute("create table things (thing integer)")
    relay = Relay(server)
    async with relay.listen() as port:
        url = url_with_hosts(empty_database_url, server, f"127.0.0.1:{port}") + "?sslmode=disable"
        yield Relayed(await opening(url, size=3), relay, admin)
    await admin.close()


@pytest.fixture
def add(statement: Statements) -> Count[...]:
    return Count(statement("count", "insert into things values (1)"), int)


async def test_read_on_a_cut_connection_runs_once_more(relayed: Relayed, backend: Backend, add: Count[...]) -> None:
    """Its second run leaves no transaction."""
    pid = await relayed.db.value(backend)
    relayed.relay.cut_at = SYNC

    assert await relayed.db.value(backend) != pid
    assert await relayed.db.count(add) == await relayed.things() == 1


async def test_error_of_the_second_run_leaves_no_transaction(relayed: Relayed, statement: Statements) -> None:
    """It runs in a read-only transaction, which the error has aborted."""
    quotient: Backend = Value(statement("value integer", "select 6 / $1", "divisor integer"), int)
    await relayed.db.value(quotient, 1)
    relayed.relay.cut_at = SYNC

    with pytest.raises(asyncpg.DivisionByZeroError):
        await relayed.db.value(quotient, 0)

    assert await relayed.db.value(quotient, 2) == 3


async def test_idle_connections_are_not_trusted_after_a_cut(
    relayed: Relayed, backend: Backend, statement: Statements
) -> None:
    pids = await backends_in_use(relayed.db, relayed.admin, statement, 3)
    relayed.relay.cut_at = SYNC

    await relayed.db.value(backend)

    for pid in pids:
        await wait_until_gone(relayed.admin, pid)


@pytest.mark.parametrize("late", [False, True])
async def test_write_on_a_cut_connection_is_not_repeated(relayed: Relayed, add: Count[...], *, late: bool) -> None:
    """The outcome is unknown."""
    await relayed.db.count(add)
    relayed.relay.cut_at, relayed.relay.cut_late = SYNC, late

    with pytest.raises(Unavailable) as refusal:
        await relayed.db.count(add)

    assert isinstance(refusal.value.__cause__, asyncpg.ConnectionDoesNotExistError)
    assert await relayed.things() == 1 + late


async def test_function_that_writes_is_not_repeated(relayed: Relayed, statement: Statements) -> None:
    """The statement looks like a read."""
    await relayed.admin.execute(
        "create function add() returns int begin atomic insert into things values (1); select 1; end"
    )
    hidden: Value[..., int] = Value(statement("value integer", "select add()"), int)
    await relayed.db.value(hidden)
    relayed.relay.cut_at, relayed.relay.cut_late = SYNC, True

    with pytest.raises(Unavailable):
        await relayed.db.value(hidden)

    assert await relayed.things() == 2


async def test_unsent_write_runs_on_another_connection(relayed: Relayed, add: Count[...]) -> None:
    """The connection is cut while the statement is prepared."""
    relayed.relay.cut_at = PREPARE

    assert await relayed.db.count(add) == 1

    assert await relayed.things() == 1


async def test_read_cut_twice_is_unavailable(
    opening: Opening, statement: Statements, admin: asyncpg.Connection
) -> None:
    """It could be the statement that crashes the server."""
    text = "select 1 from (select pg_terminate_backend(pg_backend_pid()), pg_sleep(60)) as crash"
    crash: Backend = Value(statement("value integer", text), int)
    db = await opening()
    before = await admin.fetchval("select sessions_killed from pg_stat_database where datname = current_database()")

    with pytest.raises(Unavailable):
        await db.value(crash)

    killed = "select sessions_killed from pg_stat_database where datname = current_database()"
    async with asyncio.timeout(5):
        while await admin.fetchval(killed) < before + 2:
            await admin.execute("select pg_stat_clear_snapshot()")
    assert await admin.fetchval(killed) == before + 2


async def test_replaced_enum_is_prepared_anew(opening: Opening, empty_database_url: str, statement: Statements) -> None:
    """Each connection prepares it anew."""
    admin = await asyncpg.connect(empty_database_url)
    await admin.execute("create type kind as enum ('tree'); create table plants (kind kind)")
    plant: Count[...] = Count(statement("count", "insert into plants values ($1)", "kind text"), int)
    db = await opening(empty_database_url)
    await db.count(plant, "tree")
    await admin.execute(
        "alter type kind rename to old_kind; create type kind as enum ('tree', 'herb');"
        "alter table plants alter column kind type kind using kind::text::kind; drop type old_kind"
    )

    assert await db.count(plant, "herb") == 1

    assert await admin.fetchval("select count(*) from plants") == 2
    await admin.close()


async def test_replaced_enum_of_a_variable_is_found(
    opening: Opening, empty_database_url: str, statement: Statements
) -> None:
    """PL/pgSQL keeps the type of a variable until the session ends."""
    admin = await asyncpg.connect(empty_database_url)
    await admin.execute(
        "create type kind as enum ('tree');"
        "create function kind_of(name text) returns text language plpgsql as $$"
        "declare found kind := name; begin return found; end $$"
    )
    kind: Value[..., str] = Value(statement("value text", "select kind_of($1)", "name text"), str)
    db = await opening(empty_database_url, size=2)
    await asyncio.gather(db.value(kind, "tree"), db.value(kind, "tree"))
    await admin.execute("drop type kind; create type kind as enum ('tree', 'herb')")

    found = await asyncio.gather(db.value(kind, "herb"), db.value(kind, "herb"), db.value(kind, "herb"))

    assert [*found] == ["herb"] * 3
    await admin.close()


@pytest.mark.parametrize("writes", [True, False])
async def test_write_with_undecodable_result_is_not_repeated(
    opening: Opening, empty_database_url: str, statement: Statements, *, writes: bool
) -> None:
    """A composite type has gained a column since asyncpg looked it up."""
    admin = await asyncpg.connect(empty_database_url)
    await admin.execute("create type pair as (one integer); create table pairs (pair pair)")
    await admin.execute("insert into pairs values (row(1))")
    text = (
        "insert into pairs select pair from pairs limit 1 returning pair"
        if writes
        else "select pair from pairs limit 1"
    )
    query: Value[..., Any] = Value(statement("value pair", text), asyncpg.Record)
    db = await opening(empty_database_url)
    await db.value(query)
    await admin.execute("alter type pair add attribute two integer")
    before = await admin.fetchval("select count(*) from pairs")

    if writes:
        with pytest.raises(Unavailable):
            await db.value(query)
    else:
        assert list(await db.value(query)) == [1, None]

    assert await admin.fetchval("select count(*) from pairs") == before + writes
    await admin.close()


async def test_overdue_idle_connection_is_not_used(opening: Opening, backend: Backend) -> None:
    db = await opening(timeouts=attrs.evolve(PATIENT, max_idle=0.05))
    pid = await db.value(backend)

    await asyncio.sleep(0.1)

    assert await db.value(backend) != pid


async def test_overdue_idle_connection_is_closed(opening: Opening, backend: Backend, admin: asyncpg.Connection) -> None:
    db = await opening(timeouts=attrs.evolve(PATIENT, max_idle=0.05))

    await wait_until_gone(admin, await db.value(backend))


@pytest.mark.parametrize("in_transaction", [False, True])
async def test_expired_idle_connection_is_not_used(opening: Opening, backend: Backend, *, in_transaction: bool) -> None:
    """Its server can be the primary no longer."""
    db = await opening(timeouts=attrs.evolve(PATIENT, max_age=0.05))
    pid = await db.value(backend)

    await asyncio.sleep(0.1)

    async with db.transaction() if in_transaction else nullcontext(db) as queries:
        assert await queries.value(backend) != pid


async def test_missing_socket_option_is_skipped(
    opening: Opening,
    empty_database_url: str,
    server: EmbeddedPostgres,
    backend: Backend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """MacOS has different options."""
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT")
    relay = Relay(server)
    async with relay.listen() as port:
        db = await opening(url_with_hosts(empty_database_url, server, f"127.0.0.1:{port}") + "?sslmode=disable")

        assert await db.value(backend)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (1, 60, 10, 3, 30_000)),
        ("&keepalives_idle=5&tcp_user_timeout=7000", (1, 5, 10, 3, 7000)),
        ("&keepalives=0", (0, 60, 10, 3, 30_000)),
    ],
)
async def test_idle_connections_are_probed(
    empty_database_url: str, server: EmbeddedPostgres, query: str, expected: tuple[int, ...], backend: Backend
) -> None:
    relay = Relay(server)
    async with relay.listen() as port:
        pool = Pool(
            url_with_hosts(empty_database_url, server, f"127.0.0.1:{port}") + f"?sslmode=disable{query}",
            timeouts=PATIENT,
        )
        async with pool.open():
            await pool.fetch(backend, ())
            [pooled] = pool._idle  # noqa: SLF001 - the socket is private
            connected = pooled.connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # noqa: SLF001 - the socket is private

            found = tuple(
                connected.getsockopt(level, option)
                for level, option in [
                    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
                    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
                ]
            )

    assert found == expected
