"""All statements of a request share one time limit."""

import asyncio
import time

import pytest

from service.postgres.database import Database
from service.postgres.queries import Value
from service.problems import Unavailable
from service.telemetry.context import RequestContext, current
from service.timeouts import DatabaseTimeouts
from tests.support.pools import PATIENT, Backend, Opening
from tests.support.statements import Statements


async def ask(db: Database, query: Backend, *arguments: float, request: RequestContext) -> int:
    """Run `query` within the time limit of `request`."""

    async def answer() -> int:
        current.set(request)
        return await db.value(query, *arguments)

    return await asyncio.create_task(answer())


async def test_statements_of_a_request_share_a_deadline(opening: Opening, sleep: Backend) -> None:
    """PATIENT would let the second one run for 30 s."""
    db, request = await opening(), RequestContext("of two statements")
    await db.value(sleep, 0.0)  # opens a connection
    request.budget_used = PATIENT.request - 1
    await ask(db, sleep, 0.3, request=request)
    began = time.monotonic()

    with pytest.raises(Unavailable) as refusal:
        await ask(db, sleep, 60, request=request)

    assert isinstance(refusal.value.__cause__, TimeoutError)
    assert time.monotonic() - began < 15
    assert request.budget_used >= PATIENT.request


@pytest.mark.slow
async def test_time_between_statements_does_not_count(opening: Opening, backend: Backend) -> None:
    """Between its statements, a log-in hashes a password, and can wait for other hashes."""
    timeouts = DatabaseTimeouts(acquire=0.5, query=0.5)
    db, request = await opening(timeouts=timeouts), RequestContext("of two statements")
    first = await ask(db, backend, request=request)

    await asyncio.sleep(timeouts.request + 0.1)

    assert await ask(db, backend, request=request) == first


async def test_late_statement_does_not_demote_the_host(opening: Opening, statement: Statements, sleep: Backend) -> None:
    """The statement had less time than usual, so the timeout says nothing about the server."""
    db, request = await opening(size=2), RequestContext("that is late")
    backend: Backend = Value(statement("value integer", "select pg_backend_pid() from pg_sleep(0.1)"), int)
    both = set(await asyncio.gather(db.value(backend), db.value(backend)))
    request.budget_used = PATIENT.request - 0.1

    with pytest.raises(Unavailable):
        await ask(db, sleep, 60, request=request)

    assert await db.value(backend) in both


async def test_statement_past_the_deadline_takes_no_connection(opening: Opening, backend: Backend) -> None:
    db, request = await opening(), RequestContext("that is too late")
    before = await db.value(backend)
    request.budget_used = PATIENT.request + 1

    with pytest.raises(Unavailable):
        await ask(db, backend, request=request)

    assert (await db.value(backend), request.queries) == (before, 0)


async def test_late_statement_does_not_wait_for_a_connection(opening: Opening, backend: Backend) -> None:
    db, request = await opening(), RequestContext("that is late")
    request.budget_used = PATIENT.request - PATIENT.acquire / 2

    with pytest.raises(Unavailable):
        await ask(db, backend, request=request)

    assert request.waited_seconds == 0
