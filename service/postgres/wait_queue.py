"""Who waits for something that another gives back: first come, first served, each until its own time."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Waiting(Generic[T]):
    """Those who wait. All wait equally long, so that one timer does for them: one each takes 6 µs a request."""

    def __init__(self, take_back: Callable[[T], None]) -> None:
        """`take_back` gets what was given to one who had just gone."""
        self._take_back = take_back
        self._waiters: deque[tuple[asyncio.Future[T], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiters)

    async def wait(self, until: float) -> T:
        """Return what is given; `until` is a time of the event loop's.

        Raises TimeoutError, or what it is refused with.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        self._waiters.append((waiter, until))
        if self._timer is None:
            self._timer = loop.call_at(until, self._look_at_clock)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                self._take_back(waiter.result())
            raise

    def give(self, thing: T) -> bool:
        """Give `thing` to who waits longest; tell whether anybody does."""
        if not self._waiters or not (waiter := self._next()):
            return False
        waiter.set_result(thing)
        return True

    def refuse(self, error: BaseException) -> None:
        """Tell who waits longest that there is nothing."""
        if waiter := self._next():
            waiter.set_exception(error)

    def _next(self) -> asyncio.Future[T] | None:
        while self._waiters:
            waiter, _ = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def _look_at_clock(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiters and self._waiters[0][1] <= loop.time():
            waiter, _ = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(TimeoutError())
        self._timer = loop.call_at(self._waiters[0][1], self._look_at_clock) if self._waiters else None
