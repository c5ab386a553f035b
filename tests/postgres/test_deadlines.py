"""Statements are cancelled at their deadlines, by one timer for all."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from math import inf
from time import monotonic, sleep

import pytest

from service.postgres.deadlines import Deadlines


@pytest.fixture
async def deadlines() -> AsyncIterator[Deadlines]:
    """Deadlines whose timer stops with the test."""
    deadlines = Deadlines()
    yield deadlines
    deadlines.stop()


def start(deadlines: Deadlines, deadline: float) -> asyncio.Task[str]:
    """Start a task that waits forever, with a `deadline`; its result says what has ended it."""

    async def wait() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "deadline" if deadlines.uncancel(task) else "cancelled"
        raise AssertionError

    task = asyncio.get_running_loop().create_task(wait())
    deadlines.running[task] = deadline
    if deadline < deadlines.next_check:
        deadlines.check_at(deadline)
    return task


async def test_task_is_cancelled_at_its_deadline(deadlines: Deadlines) -> None:
    deadline = monotonic() + 0.02

    assert await start(deadlines, deadline) == "deadline"

    assert monotonic() >= deadline


@pytest.mark.parametrize("order", [(0.01, 0.03), (0.03, 0.01)])
async def test_deadlines_are_kept_in_any_order(deadlines: Deadlines, order: tuple[float, float]) -> None:
    began, ended = monotonic(), list[float]()
    tasks = [start(deadlines, began + seconds) for seconds in order]
    for seconds, task in zip(order, tasks, strict=True):
        task.add_done_callback(partial(_append, ended, seconds))

    await asyncio.wait(tasks)

    assert ended == [0.01, 0.03]


def _append(ended: list[float], seconds: float, _: asyncio.Task[str]) -> None:
    ended.append(seconds)


async def test_task_that_ends_in_time_is_left_alone(deadlines: Deadlines) -> None:
    task = start(deadlines, monotonic() + 0.01)
    del deadlines.running[task]

    await asyncio.sleep(0.03)

    assert not task.done()
    assert deadlines.next_check == float("inf")
    task.cancel()


@pytest.mark.parametrize("seconds", [0.005, 0.015], ids=["just before", "just after"])
async def test_cancellation_at_the_deadline_remains_one(deadlines: Deadlines, seconds: float) -> None:
    """As when the client disconnects at that moment."""
    task = start(deadlines, inf)
    await asyncio.sleep(0)  # it waits from now on
    deadlines.running[task] = monotonic() + 0.01
    deadlines.check_at(deadlines.running[task])
    asyncio.get_running_loop().call_later(seconds, task.cancel)

    sleep(0.02)  # noqa: ASYNC251 - both are due then, in one turn of the event loop

    assert await task == "cancelled"


async def test_cancelled_task_can_go_on(deadlines: Deadlines) -> None:
    task = start(deadlines, monotonic())

    await task

    assert task.cancelling() == 0
