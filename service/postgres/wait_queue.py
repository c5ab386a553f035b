"""A FIFO queue of waiters, each of which is handed an item that another caller has released."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class WaitQueue(Generic[T]):
    """A FIFO queue. All waiters have the same timeout, so one timer serves them all."""

    def __init__(self, take_back: Callable[[T], None]) -> None:
        """Create a queue; `take_back` receives an item whose waiter was cancelled just as it was handed over."""
        self._take_back = take_back
        self.waiters: deque[tuple[asyncio.Future[T], float]] = deque()
        """The waiters and their deadlines, in the event loop's time."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return the number of waiters."""
        return len(self.waiters)

    async def wait(self, deadline: float) -> T:
        """Return the next item, if it comes before `deadline` (the event loop's time).

        Raises TimeoutError, or the error passed to fail_all().
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        self.waiters.append((waiter, deadline))
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._on_timer)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                self._take_back(waiter.result())
            raise

    def give(self, item: T) -> bool:
        """Hand `item` to the first waiter; return False if there is none."""
        while self.waiters:
            waiter, _ = self.waiters.popleft()
            if not waiter.done():
                waiter.set_result(item)
                return True
        return False

    def fail_all(self, error: Exception) -> None:
        """Raise `error` in all waiters."""
        while self.waiters:
            self._fail_first(error)

    def _fail_first(self, error: Exception) -> None:
        waiter, _ = self.waiters.popleft()
        if not waiter.done():
            waiter.set_exception(error)

    def _on_timer(self) -> None:
        loop = asyncio.get_running_loop()
        while self.waiters and self.waiters[0][1] <= loop.time():
            self._fail_first(TimeoutError())
        self._timer = loop.call_at(self.waiters[0][1], self._on_timer) if self.waiters else None
