"""What is counted while the service runs, where METRICS_PORT or METRICS_TOKEN asks for it.

Each worker counts in memory that it shares with whoever is asked for the numbers: adding one there takes 0.1 µs, with
no lock and no message. A worker that replaces another counts on where that one ended, even where it was killed, so that
no counter ever falls. service/telemetry/prometheus.py reads what is written here.
"""

import asyncio
import mmap
import os
from bisect import bisect_left
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum, auto
from hashlib import sha256
from itertools import accumulate, count
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec

# Upper bounds of a histogram's buckets, in seconds; one more bucket holds what takes longer.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
# The numbers of a query, and those of a route, begin with a histogram: its buckets and the sum of what was observed.
SUM = len(BOUNDS) + 1
# Behind it, those of a query have its rows and errors; those of a route how many answers there were of each status from
# 100 to 599, at STATUS + status.
ROWS, ERRORS = SUM + 1, SUM + 2
STATUS = SUM + 1 - 100
OF_QUERY, OF_ROUTE = ERRORS + 1, STATUS + 600
NO_ROUTE = ("", "(none)")
# Where `serve` tells its workers to count; no setting.
METRICS_DIRECTORY_VARIABLE = "_METRICS_DIRECTORY"
# What is counted: an event, a level, a query by its name, a route by its method and template.
Name: TypeAlias = str | tuple[str, str]


class Counter(IntEnum):
    """What happens."""

    LOGIN_OK = 0
    LOGIN_FAILED = auto()
    LOGIN_THROTTLED = auto()
    REFRESH_REUSED = auto()
    CONNECTION_CREATED = auto()
    REPLICA_ANSWERED = auto()
    REPLICA_PASSED_OVER = auto()


class Gauge(IntEnum):
    """What is now more, now less; 0 while a worker is not there."""

    CONNECTIONS_USED = len(Counter)
    CONNECTIONS_IDLE = auto()
    CONNECTIONS_WAITING = auto()
    CONNECTIONS_MOST = auto()
    HASHING = auto()
    MIGRATIONS_NEEDED = auto()
    MIGRATIONS_APPLIED = auto()
    MIGRATIONS_CHECKED_AT = auto()
    REPLICA_USED = auto()
    REPLICA_CONNECTIONS_USED = auto()
    REPLICA_CONNECTIONS_IDLE = auto()
    REPLICA_CONNECTIONS_WAITING = auto()
    REPLICA_CONNECTIONS_MOST = auto()


class Layout(msgspec.Struct, frozen=True):
    """What a worker counts, in the order of its numbers; another one's, of later code, may be another."""

    queries: tuple[str, ...]
    routes: tuple[tuple[str, str], ...]
    """Method and template of the path; the last is NO_ROUTE."""
    single: tuple[str, ...] = tuple(each.name for each in (*Counter, *Gauge))

    def places(self) -> dict[Name, slice]:
        """Return where the numbers of each stand."""
        sizes: dict[Name, int] = dict.fromkeys(self.single, 1)
        sizes |= dict.fromkeys(self.queries, OF_QUERY) | dict.fromkeys(self.routes, OF_ROUTE)
        ends = accumulate(sizes.values())
        return {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return len(self.single) + OF_QUERY * len(self.queries) + OF_ROUTE * len(self.routes)


class Metrics:
    """The numbers of this worker."""

    def __init__(self, directory: Path, layout: Layout) -> None:
        """Count in a file of `directory` that no other process counts in, nor has with another layout."""
        self.layout = layout
        encoded = msgspec.json.encode(layout)
        digest = sha256(encoded + repr(BOUNDS).encode()).hexdigest()
        file = _free_slot(directory / f"worker.{digest}")
        os.truncate(file, layout.size * 8)
        self._memory = mmap.mmap(file, layout.size * 8)  # keeps the file, and the lock, by a descriptor of its own
        os.close(file)
        self._numbers = memoryview(self._memory).cast("d")
        self._numbers[len(Counter) : len(layout.single)] = memoryview(bytes(8 * len(Gauge))).cast("d")
        places = layout.places()
        self._queries = {name: self._numbers[places[name]] for name in layout.queries}
        self._routes = {route: self._numbers[places[route]] for route in layout.routes}
        self._no_route = self._routes[NO_ROUTE]
        # Whole, or not at all, for who reads it meanwhile.
        new = directory / f"new.{os.getpid()}"
        new.write_bytes(encoded)
        new.rename(directory / f"layout.{digest}")

    def close(self) -> None:
        """Count no more; what was counted stays where it is."""
        del self._numbers, self._queries, self._routes, self._no_route
        self._memory.close()

    def request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request; `route` is the template of its path."""
        numbers = self._routes.get((method, route), self._no_route)  # type: ignore[arg-type]  # None is no key
        numbers[bisect_left(BOUNDS, seconds)] += 1
        numbers[SUM] += seconds
        numbers[STATUS + status] += 1

    def query(self, name: str, seconds: float, rows: int | None) -> None:
        """Count a query that returned or changed so many `rows`; None: it failed."""
        numbers = self._queries.get(name)
        if numbers is None:
            return
        numbers[bisect_left(BOUNDS, seconds)] += 1
        numbers[SUM] += seconds
        if rows is None:
            numbers[ERRORS] += 1
        else:
            numbers[ROWS] += rows

    def count(self, event: Counter) -> None:
        """Count `event`."""
        self._numbers[event] += 1

    def set(self, level: Gauge, value: float) -> None:
        """Set `level`."""
        self._numbers[level] = value


def _free_slot(path: Path) -> int:
    """Return a file, `path` with a number, that nobody has locked, locked: it is free again when this process ends."""
    import fcntl  # noqa: PLC0415 - not on Windows

    numbers = count()
    while True:
        file = os.open(f"{path}.{next(numbers)}", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
        else:
            return file


class Sampled(Protocol):
    """What is now more, now less."""

    def sample(self, metrics: Metrics) -> None:
        """Say how much it is now."""


@asynccontextmanager
async def sampling(metrics: Metrics | None, *parts: Sampled) -> AsyncIterator[None]:
    """Measure each of `parts` once a second, until the end of the context."""

    async def sample(metrics: Metrics) -> None:
        while True:
            for part in parts:
                part.sample(metrics)
            await asyncio.sleep(1)

    task = asyncio.create_task(sample(metrics)) if metrics else None
    yield
    if task:
        task.cancel()
