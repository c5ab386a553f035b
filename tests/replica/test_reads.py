"""Marked reads run on the replica, and are current."""

import asyncio
import re
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from service.app import connection_pool, create_app
from service.auth.controllers import LIST_MY_SESSIONS
from service.postgres.queries import Count, Many
from service.replica import ReplicaRouter
from service.telemetry.prometheus import render_metrics
from tests.replica.reader import Opening, Pair, Read, Reader, ReadResult, marked
from tests.support.application import make_settings
from tests.support.factories import Factory, service_client
from tests.support.statements import Statements

slow = pytest.mark.slow  # starts a second server


@slow
async def test_replica_answers_only_marked_reads(reader: Reader, read: Read, statement: Statements) -> None:
    unmarked: Read = Many(statement("many ReadResult", "select pg_is_in_recovery(), 0"), ReadResult)

    assert [each.by_replica for each in await reader.db.many(read)] == [True]
    assert [each.by_replica for each in await reader.db.many(unmarked)] == [False]
    assert reader.count('replica_reads_total{answered_by="replica"}') == 1
    assert reader.count("replica_used") == 1


@slow
async def test_transaction_runs_on_the_primary(reader: Reader, read: Read) -> None:
    async with reader.db.transaction() as tx:
        assert [each.by_replica for each in await tx.many(read)] == [False]


@slow
async def test_connections_of_each_server_are_counted(reader: Reader, statement: Statements) -> None:
    slowly = marked(statement, "select pg_is_in_recovery(), 0 from pg_sleep(1)")
    reading = [asyncio.create_task(reader.db.many(slowly)) for _ in range(6)]

    async with asyncio.timeout(5):
        while reader.count('database_connections{server="replica",state="used"}') < 4:  # noqa: ASYNC110 - a state without an event
            await asyncio.sleep(0.005)

    assert reader.count('database_connections_waiting{server="replica"}') == 2
    assert reader.count('database_connections_max{server="replica"}') == 4
    assert reader.count('database_connections_waiting{server="primary"}') == 0
    await asyncio.gather(*reading)
    assert reader.count('database_connections{server="replica",state="idle"}') == 4


@slow
async def test_write_is_read_at_once(reader: Reader, read: Read, statement: Statements) -> None:
    """Several clients write and read concurrently, and the replica has time to catch up."""
    add: Count[...] = Count(statement("count", "insert into things values (2)"), int)
    responses: list[ReadResult] = []

    async def write_and_read() -> None:
        for _ in range(50):
            before = (await reader.db.many(read))[0].things
            await reader.db.count(add)
            [response] = await reader.db.many(read)
            assert response.things > before
            responses.append(response)

    await asyncio.gather(*(write_and_read() for _ in range(4)))

    assert sum(response.by_replica for response in responses) > 150


@slow
async def test_write_with_asynchronous_commit_is_read_at_once(
    opening: Opening, pair: Pair, read: Read, statement: Statements
) -> None:
    """With synchronous_commit = off, a confirmed write is neither flushed nor sent to a replica yet."""
    add: Count[...] = Count(statement("count", "insert into things values (2)"), int)
    reader = await opening(f"{pair.primary.url}?synchronous_commit=off", pair.replica.url)
    await reader.wait_until_used()

    for _ in range(5):
        before = (await reader.db.many(read))[0].things
        await reader.db.count(add)
        assert (await reader.db.many(read))[0].things > before


@slow
async def test_concurrent_reads_share_one_position_query(reader: Reader, read: Read) -> None:
    before = reader.asked

    await asyncio.gather(*(reader.db.many(read) for _ in range(50)))

    assert reader.asked - before <= 2  # the periodic check can add one


@slow
async def test_later_read_asks_for_a_new_position(reader: Reader, read: Read) -> None:
    """The position of an earlier question can precede the later reader's own write."""
    before = reader.asked
    first = asyncio.create_task(reader.db.many(read))
    for _ in range(3):  # until the question is sent
        await asyncio.sleep(0)
    await asyncio.gather(first, reader.db.many(read), reader.db.many(read))

    assert reader.asked - before >= 2


@slow
async def test_cancelled_read_does_not_cancel_the_shared_query(reader: Reader, read: Read) -> None:
    gone, there = (asyncio.create_task(reader.db.many(read)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()

    assert (await there)[0].by_replica


async def test_service_reads_from_the_configured_replica(own_database_url: str, tmp_path: Path) -> None:
    """The URL names the primary itself, so there is no usable replica."""
    settings = make_settings(own_database_url, DATABASE_REPLICA_URL=own_database_url)
    router = connection_pool(settings)
    assert isinstance(router, ReplicaRouter)
    app = create_app(settings, router, tmp_path)
    admin = await asyncpg.connect(own_database_url)
    user = await Factory(app, admin).user()

    async with app.lifespan(), service_client(app) as client:
        responses = [await client.get(path, headers=user.bearer) for path in ("/auth/sessions", "/users/me")]
        while router.uses_replica is None:  # noqa: ASYNC110 - a state without an event
            await asyncio.sleep(0.005)
        text = render_metrics(tmp_path, "text/plain")[0].decode()
    await admin.close()

    assert [response.status_code for response in responses] == [200, 200]
    assert re.findall(r"^replica_\w+(?:{.*})? .*", text, re.MULTILINE) == [
        "replica_used 0.0",
        'replica_reads_total{answered_by="replica"} 0.0',
        'replica_reads_total{answered_by="primary"} 1.0',
    ]


async def test_reads_without_metrics_work(database_url: str) -> None:
    router = connection_pool(make_settings(database_url, DATABASE_REPLICA_URL=database_url))

    async with router.open():
        assert await router.fetch(LIST_MY_SESSIONS, (uuid4(), uuid4(), 100)) == []
