"""Several hosts in one URL, and a primary that has become a replica."""

import asyncio
import re
import socket

import asyncpg
import pytest

from service.database_url import DatabaseUrl
from service.embedded import EmbeddedPostgres
from service.postgres.database import Database
from service.postgres.failover import MultiHostConnector
from service.postgres.pool import Pool
from service.postgres.queries import Count, Value
from service.problems import Unavailable
from service.timeouts import DatabaseTimeouts
from tests.support.backends import backends_in_use, frozen, terminate, wait_until_gone
from tests.support.pools import Backend, Opening, url_with_hosts
from tests.support.relay import Relay
from tests.support.statements import Statements


async def test_missing_host_is_skipped(
    opening: Opening, backend: Backend, database_url: str, server: EmbeddedPostgres
) -> None:
    db = await opening(url_with_hosts(database_url, server, "127.0.0.1:1", "127.0.0.1:2"))

    assert await db.value(backend)


def test_random_host_order_is_honoured() -> None:
    hosts = ",".join(f"h{number}" for number in range(30))
    url = DatabaseUrl.parse(f"postgresql://u@{hosts}/d?load_balance_hosts=random")

    orders = [tuple(MultiHostConnector(url, DatabaseTimeouts())._addresses) for _ in range(5)]  # noqa: SLF001 - the order is visible nowhere else

    assert len(set(orders)) > 1
    assert {frozenset(order) for order in orders} == {frozenset(url.addresses)}


@pytest.mark.slow
async def test_silent_host_is_tried_once(
    opening: Opening,
    backend: Backend,
    statement: Statements,
    database_url: str,
    server: EmbeddedPostgres,
    admin: asyncpg.Connection,
) -> None:
    """Each of the first connections tries it; later ones go to the host that answered."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        db = await opening(url_with_hosts(database_url, server, f"127.0.0.1:{silent.getsockname()[1]}"), size=2)

        first = await backends_in_use(db, admin, statement, 2)
        for pid in first:
            await terminate(admin, pid)
        assert await db.value(backend) not in first
        silent.settimeout(0)
        asked = [silent.accept()[0] for _ in range(2)]
        with pytest.raises(BlockingIOError):
            silent.accept()
    for connection in asked:
        connection.close()


@pytest.mark.slow
async def test_host_that_falls_silent_is_tried_last(
    opening: Opening, backend: Backend, database_url: str, server: EmbeddedPostgres
) -> None:
    """Another host can be the primary by then."""
    relay = Relay(server)
    async with relay.listen() as port:
        url = url_with_hosts(database_url, server, f"127.0.0.1:{port}") + "?sslmode=disable"
        db = await opening(url, size=1, timeouts=DatabaseTimeouts(acquire=10, query=1))
        pid = await db.value(backend)
        with frozen(pid):
            with pytest.raises(Unavailable):
                await db.value(backend)
            trips = relay.trips

            assert await db.value(backend) != pid

    assert 0 < trips == relay.trips


async def test_unsuitable_hosts_have_their_reasons(
    opening: Opening, backend: Backend, database_url: str, server: EmbeddedPostgres
) -> None:
    """The URL asks for a replica, and there is none."""
    url = url_with_hosts(database_url, server, "127.0.0.1:1") + "?target_session_attrs=standby"
    db = await opening(url)

    with pytest.raises(Unavailable) as refusal:
        await db.value(backend)

    refused, unsuitable = str(refusal.value.__cause__).split("; ")
    assert re.match(r"127\.0\.0\.1:1: \[Errno \d+\] Connect call failed", refused)
    assert unsuitable == f"{server.socket_directory}:{server.port}: is no standby server"


async def test_connections_to_a_read_only_server_are_discarded(
    opening: Opening, backend: Backend, statement: Statements, database_url: str, admin: asyncpg.Connection
) -> None:
    """Both idle connections lead to the same server."""
    remove: Count[...] = Count(statement("count", "delete from idempotency_key"), int)
    db = await opening(f"{database_url}&default_transaction_read_only=on", size=2)
    pids = await backends_in_use(db, admin, statement, 2)

    with pytest.raises(Unavailable):
        await db.count(remove)

    for pid in pids:
        await wait_until_gone(admin, pid)
    assert await db.value(backend) not in pids


async def test_connection_is_made_after_its_waiter_left(
    opening: Opening, database_url: str, backend: Backend, statement: Statements
) -> None:
    own = "select count(*)::integer from pg_stat_activity where application_name = 'given up'"
    number: Value[..., int] = Value(statement("value integer", own), int)
    db = await opening(f"{database_url}&application_name=given%20up")
    asking = asyncio.create_task(db.value(backend))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert await db.value(number) == 1


async def test_failed_connection_attempt_does_no_harm_later(backend: Backend) -> None:
    """Its request has given up; closing the pool cancels the attempt."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/kites"
        pool = Pool(url, size=2, timeouts=DatabaseTimeouts(acquire=0.02))
        async with asyncio.timeout(1), pool.open():
            with pytest.raises(Unavailable):
                await Database(pool).value(backend)


@pytest.mark.slow
async def test_preparation_and_execution_share_a_timeout(
    opening: Opening,
    statement: Statements,
    database_url: str,
    server: EmbeddedPostgres,
) -> None:
    first: Backend = Value(statement("value integer", "select 1"), int)
    second: Backend = Value(statement("value integer", "select 2"), int)
    relay = Relay(server)
    async with relay.listen() as port:
        url = url_with_hosts(database_url, server, f"127.0.0.1:{port}") + "?sslmode=disable"
        db = await opening(url, size=1, timeouts=DatabaseTimeouts(acquire=10, query=1))
        await db.value(first)
        relay.delay = 0.6

        with pytest.raises(Unavailable):
            await db.value(second)
