"""What is counted while the service runs, where METRICS_PORT or METRICS_TOKEN asks for it.

Each worker counts in memory that it shares with whoever is asked for the numbers: adding one there takes 0.1 µs, with
no lock and no message. A worker that replaces another counts on where that one ended, even where it was killed, so that
no counter ever falls. service/exposition.py reads what is written here.
"""

import asyncio
import mmap
import os
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import IntEnum, auto
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import msgspec

from service.queries import Count, Query

# Upper bounds of a histogram's buckets, in seconds; one more bucket holds what takes longer.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
# A histogram's numbers are its buckets and the sum of what was observed; a query's its histogram, rows and errors;
# a route's its histogram and how many answers there were of each status from 100 to 599.
SUM = len(BOUNDS) + 1
ROWS, ERRORS = SUM + 1, SUM + 2
STATUSES = SUM + 1
OF_QUERY, OF_ROUTE = SUM + 3, STATUSES + 500
NO_ROUTE = ("", "(none)")
# Where `serve` tells its workers to count; no setting.
DIRECTORY = "_METRICS_DIRECTORY"


class Event(IntEnum):
    """What happens."""

    LOGIN_OK = 0
    LOGIN_FAILED = auto()
    LOGIN_THROTTLED = auto()
    REFRESH_REUSED = auto()
    CONNECTION_CREATED = auto()
    REPLICA_ANSWERED = auto()
    REPLICA_PASSED_OVER = auto()


class Level(IntEnum):
    """What is now more, now less; 0 while a worker is not there."""

    CONNECTIONS_USED = len(Event)
    CONNECTIONS_IDLE = auto()
    CONNECTIONS_WAITING = auto()
    CONNECTIONS_MOST = auto()
    HASHING = auto()
    MIGRATIONS_NEEDED = auto()
    MIGRATIONS_APPLIED = auto()
    MIGRATIONS_CHECKED_AT = auto()
    REPLICA_USED = auto()


FIRST_QUERY = len(Event) + len(Level)


class Layout(msgspec.Struct, frozen=True):
    """Which number stands where: those of Event and Level, of each query, of each route; all workers' are the same."""

    queries: tuple[str, ...]
    routes: tuple[tuple[str, str], ...]
    """Method and template of the path; the last is NO_ROUTE."""

    @property
    def first_route(self) -> int:
        """Where the numbers of routes begin."""
        return FIRST_QUERY + OF_QUERY * len(self.queries)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.first_route + OF_ROUTE * len(self.routes)


class Metrics:
    """The numbers of this worker."""

    def __init__(self, directory: Path, layout: Layout) -> None:
        """Count in a file of `directory` that no other process counts in."""
        self.layout = layout
        file = _free_slot(directory)
        os.truncate(file, layout.size * 8)
        self._memory = mmap.mmap(file, layout.size * 8)  # keeps the file, and the lock, by a descriptor of its own
        os.close(file)
        self._numbers = memoryview(self._memory).cast("d")
        self._numbers[len(Event) : FIRST_QUERY] = memoryview(bytes(8 * len(Level))).cast("d")
        self._queries = {name: FIRST_QUERY + OF_QUERY * n for n, name in enumerate(layout.queries)}
        self._routes = {route: layout.first_route + OF_ROUTE * n for n, route in enumerate(layout.routes)}
        self._no_route = self._routes[NO_ROUTE]
        # Whole, or not at all, for who reads it meanwhile.
        new = directory / f"layout.{os.getpid()}"
        new.write_bytes(msgspec.json.encode(layout))
        new.rename(directory / "layout")

    def close(self) -> None:
        """Count no more; what was counted stays where it is."""
        del self._numbers
        self._memory.close()

    def request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request; `route` is the template of its path."""
        numbers, at = self._numbers, self._routes.get((method, route), self._no_route)  # type: ignore[arg-type]  # None is no key
        numbers[at + bisect_left(BOUNDS, seconds)] += 1
        numbers[at + SUM] += seconds
        numbers[at + STATUSES - 100 + status] += 1

    def query(self, query: Query[..., Any], seconds: float, rows: Sequence[Any] | None) -> None:
        """Count a query that returned `rows`; None: it failed."""
        at = self._queries.get(query.name)
        if at is None:
            return
        numbers = self._numbers
        numbers[at + bisect_left(BOUNDS, seconds)] += 1
        numbers[at + SUM] += seconds
        if rows is None:
            numbers[at + ERRORS] += 1
        else:
            numbers[at + ROWS] += rows[0][0] if isinstance(query, Count) else len(rows)

    def count(self, event: Event) -> None:
        """Count `event`."""
        self._numbers[event] += 1

    def set(self, level: Level, value: float) -> None:
        """Set `level`."""
        self._numbers[level] = value


def _free_slot(directory: Path) -> int:
    """Return a file of `directory` that nobody has locked, locked: it is free again when this process ends."""
    import fcntl  # noqa: PLC0415 - not on Windows

    numbers = count()
    while True:
        file = os.open(directory / f"worker.{next(numbers)}", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
        else:
            return file


class Measured(Protocol):
    """What is now more, now less."""

    def measure(self, metrics: Metrics) -> None:
        """Say how much it is now."""


@asynccontextmanager
async def measuring(metrics: Metrics | None, *parts: Measured) -> AsyncIterator[None]:
    """Measure each of `parts` once a second, until the end of the context."""

    async def measure(metrics: Metrics) -> None:
        while True:
            for part in parts:
                part.measure(metrics)
            await asyncio.sleep(1)

    task = asyncio.create_task(measure(metrics)) if metrics else None
    yield
    if task:
        task.cancel()
