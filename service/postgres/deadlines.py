"""The deadlines of running statements, with one timer for them all."""

import asyncio
from math import inf
from time import monotonic
from typing import Any

# Seconds. A timer that runs more than STALL late shows that the event loop was stalled; it then gets CATCH_UP to read
# the results that have arrived.
STALL, CATCH_UP = 0.1, 0.01


class Deadlines:
    """Cancels each task whose statement is still running at its deadline.

    asyncpg's `timeout` would set a timer for each statement.
    """

    def __init__(self) -> None:
        self.running: dict[asyncio.Task[Any], float] = {}
        """The tasks that wait for a statement, and their deadlines (monotonic seconds)."""
        self.next_check = inf
        """When the timer runs (monotonic seconds): not after the earliest deadline."""
        self._timer: asyncio.TimerHandle | None = None
        self._cancelled: set[asyncio.Task[Any]] = set()
        """The tasks that their deadlines have cancelled."""

    def check_at(self, deadline: float) -> None:
        """Run the timer at `deadline`, which is earlier than `next_check`."""
        self.stop()
        self.next_check = deadline
        self._timer = asyncio.get_running_loop().call_later(max(0.0, deadline - monotonic()), self._check)

    def stop(self) -> None:
        """Stop the timer; the next deadline starts it again."""
        if self._timer:
            self._timer.cancel()
        self._timer, self.next_check = None, inf

    def uncancel(self, task: asyncio.Task[Any]) -> bool:
        """Undo the cancellation of `task` by its deadline; return False if something else has cancelled it, too."""
        if task not in self._cancelled:
            return False
        self._cancelled.remove(task)
        return task.uncancel() == 0

    def _check(self) -> None:
        """Cancel the overdue tasks; after a stall, only those whose results have not arrived."""
        if monotonic() - self.next_check > STALL:
            self._timer = asyncio.get_running_loop().call_later(CATCH_UP, self._cancel_overdue)
        else:
            self._cancel_overdue()

    def _cancel_overdue(self) -> None:
        self.stop()
        now = monotonic()
        for task in [task for task in sorted(self.running, key=self.running.__getitem__) if self.running[task] <= now]:
            del self.running[task]
            self._cancelled.add(task)
            task.cancel()
        if self.running:
            self.check_at(min(self.running.values()))
