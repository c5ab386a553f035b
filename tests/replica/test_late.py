"""One time limit covers the primary's position, the replica and, if that fails, the primary."""

import asyncio
import time

import pytest

from service.postgres.queries import Maybe, Value
from service.problems import Unavailable
from service.replica import router as replica
from service.replica.pool import Position
from service.telemetry.context import RequestContext, current
from service.timeouts import DATABASE_TIMEOUTS, DatabaseTimeouts
from tests.replica.reader import Opening, Pair, Read, Reader, ReadResult
from tests.support.statements import Statements

pytestmark = pytest.mark.slow  # starts a second server


async def ask(reader: Reader, read: Read, request: RequestContext) -> list[ReadResult]:
    """Run `read` within the time limit of `request`."""

    async def answer() -> list[ReadResult]:
        current.set(request)
        return await reader.db.many(read)

    return await asyncio.create_task(answer())


async def test_slow_primary_is_waited_for_once(
    opening: Opening, pair: Pair, read: Read, statement: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pending query is too old for the second read, which needs the one after it."""
    slowly: Maybe[..., Position] = Maybe(
        statement("maybe Position", "select 'any', 1::bigint from pg_sleep(2)"), Position
    )
    reader = await opening(pair.primary.url, pair.replica.url, timeouts=DatabaseTimeouts(query=2.4))
    await reader.wait_until_used()
    monkeypatch.setattr(replica, "FIND_POSITION", slowly)
    first = asyncio.create_task(reader.db.many(read))
    await asyncio.sleep(0.3)
    began = time.monotonic()

    with pytest.raises(Unavailable):
        await reader.db.many(read)

    assert time.monotonic() - began < 3.5  # the second position would arrive after 3.7
    await first


async def test_frozen_replica_leaves_time_for_the_primary(reader: Reader, pair: Pair, read: Read) -> None:
    """Even if the request has used some of its time before."""
    await reader.db.many(read)
    pair.replica.freeze()
    request = RequestContext("that has asked before")
    request.budget_used = DATABASE_TIMEOUTS.request - 1.5
    try:
        [response] = await ask(reader, read, request)
    finally:
        pair.replica.thaw()

    assert not response.by_replica


async def test_frozen_replica_leaves_time_to_wait_for_the_primary(
    reader: Reader, pair: Pair, read: Read, statement: Statements
) -> None:
    """All connections to the primary are in use at that moment."""
    busily: Value[..., str] = Value(statement("value text", "select pg_sleep($1)::text", "seconds float8"), str)
    await asyncio.gather(*(reader.db.value(busily, 0.1) for _ in range(4)))
    await reader.db.many(read)
    pair.replica.freeze()
    try:
        reading = asyncio.create_task(ask(reader, read, RequestContext("that waits twice")))
        await asyncio.sleep(DATABASE_TIMEOUTS.query - 0.3)
        busy = [asyncio.create_task(reader.db.value(busily, 0.6)) for _ in range(4)]

        [response] = await reading
    finally:
        pair.replica.thaw()

    assert not response.by_replica
    await asyncio.wait(busy)
