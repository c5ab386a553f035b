"""Waiters get a connection in turn, or an error in time."""

import asyncio
import time

import pytest

from service.postgres.wait_queue import WaitQueue


@pytest.fixture
def taken_back() -> list[str]:
    """Return the list of items that the queue returned."""
    return []


@pytest.fixture
def waiting(taken_back: list[str]) -> WaitQueue[str]:
    """Return an empty queue."""
    return WaitQueue(taken_back.append)


async def _wait(waiting: WaitQueue[str], seconds: float = 5.0) -> asyncio.Task[str]:
    waits = asyncio.create_task(waiting.wait(asyncio.get_running_loop().time() + seconds))
    await asyncio.sleep(0)
    return waits


async def test_first_waiter_is_served_first(waiting: WaitQueue[str]) -> None:
    first, second = await _wait(waiting), await _wait(waiting)

    given = [waiting.give(thing) for thing in ("one", "two")]

    assert (given, await first, await second) == ([True, True], "one", "two")


async def test_give_without_waiters_is_refused(waiting: WaitQueue[str]) -> None:
    assert not waiting.give("one")


async def test_each_waiter_has_its_own_deadline(waiting: WaitQueue[str]) -> None:
    """A busy machine can fail two at once, but none too early."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    first, second, third = [await _wait(waiting, seconds) for seconds in (0.05, 0.1, 60)]

    async with asyncio.timeout(5):
        for waits in (first, second):
            with pytest.raises(TimeoutError):
                await waits

    assert loop.time() >= began + 0.1
    assert len(waiting) == 1
    third.cancel()


async def test_cancelled_waiter_is_skipped(waiting: WaitQueue[str]) -> None:
    gone, patient = await _wait(waiting), await _wait(waiting)
    gone.cancel()
    await asyncio.sleep(0)

    waiting.give("one")

    assert await patient == "one"


async def test_cancelled_waiter_does_not_time_out(waiting: WaitQueue[str]) -> None:
    gone, patient = await _wait(waiting, 0.05), await _wait(waiting, 0.05)
    gone.cancel()

    with pytest.raises(TimeoutError):
        await patient


async def test_cancelled_waiter_times_out_once(waiting: WaitQueue[str]) -> None:
    loop = asyncio.get_running_loop()
    goes = await _wait(waiting, 0.01)
    loop.call_later(0.011, goes.cancel)
    time.sleep(0.02)  # noqa: ASYNC251 - both must happen in one iteration of the event loop

    await asyncio.wait([goes])

    assert goes.cancelled()


async def test_failure_reaches_all_waiters(waiting: WaitQueue[str]) -> None:
    waits = [await _wait(waiting) for _ in range(3)]
    waits[1].cancel()

    waiting.fail_all(ValueError("none"))

    for each in (waits[0], waits[2]):
        with pytest.raises(ValueError, match="none"):
            await each
    assert len(waiting) == 0


async def test_connection_given_to_a_cancelled_waiter_returns(waiting: WaitQueue[str], taken_back: list[str]) -> None:
    goes = await _wait(waiting)
    waiting.give("one")
    goes.cancel()

    await asyncio.wait([goes])

    assert (goes.cancelled(), taken_back) == (True, ["one"])
