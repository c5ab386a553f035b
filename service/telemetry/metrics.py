"""Counting while the service runs, if METRICS_PORT or METRICS_TOKEN is set.

A counter or a gauge is declared where it is counted, and nowhere else::

    LOGINS = counter("logins_total", "Log-ins", outcome=("ok", "failed"))
    LOGINS.inc(outcome="ok")

Each worker counts in memory that it shares with the process that serves the numbers: no lock, no message. A worker that
replaces another, even one that was killed, goes on from its numbers, so no counter ever falls.
`service/telemetry/prometheus.py` reads what is written here.
"""

import asyncio
import mmap
import os
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from itertools import accumulate, count, product
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

# Upper bounds of a histogram's buckets, in seconds; one more bucket holds what takes longer.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
# The numbers of a query and those of a route begin with a histogram: its buckets and the sum of what was observed.
SUM = len(BOUNDS) + 1
# A query's rows and errors follow. A route has one number for each status from 100 to 599, at STATUS + status.
ROWS, ERRORS = SUM + 1, SUM + 2
STATUS = SUM + 1 - 100
OF_QUERY, OF_ROUTE = ERRORS + 1, STATUS + 600
NO_ROUTE = ("", "(none)")
# How `serve` tells its workers to count; not a setting.
METRICS_DIRECTORY_VARIABLE = "_METRICS_DIRECTORY"
# A query's name, a route's method and template, or a metric's name and the values of its labels.
Key: TypeAlias = str | tuple[str, ...]
Numbers: TypeAlias = "memoryview[float]"


class Family(msgspec.Struct, frozen=True):
    """The declaration of a metric: its name, its description, and the values that each label can have."""

    kind: Literal["counter", "gauge"]
    name: str
    description: str
    labels: dict[str, tuple[str, ...]]
    is_latest: bool = False
    """Whether the value that a worker set last counts, and not the sum of all workers' values."""

    def combinations(self) -> Iterator[tuple[str, ...]]:
        """Return the key of each combination of labels."""
        return product((self.name,), *self.labels.values())


class Layout(msgspec.Struct, frozen=True):
    """What a worker counts, in the order of its numbers. A worker that runs other code can have another layout."""

    families: tuple[Family, ...]
    queries: tuple[str, ...]
    routes: tuple[tuple[str, str], ...]
    """Method and template of the path; the last is NO_ROUTE."""

    def places(self) -> dict[Key, slice]:
        """Return the place of each key's numbers."""
        # That of a latest value has the time when it was set, too.
        sizes: dict[Key, int] = {key: 1 + family.is_latest for family in self.families for key in family.combinations()}
        sizes |= dict.fromkeys(self.queries, OF_QUERY) | dict.fromkeys(self.routes, OF_ROUTE)
        ends = accumulate(sizes.values())
        return {key: slice(end - size, end) for (key, size), end in zip(sizes.items(), ends, strict=True)}


_declared: dict[str, "_Declared"] = {}


class _Declared:
    """A declared metric, and its numbers while this process counts."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.numbers: dict[tuple[str, ...], Numbers] = {}
        if family.name in _declared:
            raise ValueError(f"The metric {family.name} is declared twice")
        _declared[family.name] = self

    def _of(self, labels: dict[str, str]) -> Numbers:
        """Return the numbers of one combination of labels. Raises KeyError if it was not declared."""
        return self.numbers[self.family.name, *map(labels.__getitem__, self.family.labels)]


class Counter(_Declared):
    """A number that only rises."""

    def inc(self, by: int = 1, /, **labels: str) -> None:
        """Add `by` to the number with these `labels`. Raises KeyError if they were not declared."""
        if self.numbers:
            self._of(labels)[0] += by


class Gauge(_Declared):
    """A number that rises and falls; that of a worker that has ended does not count."""

    def __init__(self, family: Family) -> None:
        super().__init__(family)
        self._functions: dict[tuple[tuple[str, str], ...], Callable[[], float]] = {}

    def set(self, value: float, **labels: str) -> None:
        """Set the number with these `labels`. Raises KeyError if they were not declared."""
        if self.numbers:
            numbers = self._of(labels)
            numbers[0] = value
            if self.family.is_latest:
                numbers[1] = time.time()

    def set_function(self, function: Callable[[], float], **labels: str) -> None:
        """Set the number with these `labels` to what `function` returns, once a second."""
        self._functions[tuple(labels.items())] = function

    def sample(self) -> None:
        """Set the numbers that have a function."""
        for labels, function in self._functions.items():
            self.set(function(), **dict(labels))


def counter(name: str, description: str, **labels: tuple[str, ...]) -> Counter:
    """Declare the counter `name`, which ends in ``_total``; each label has one of the given values.

    Raises ValueError if the name is taken.
    """
    return Counter(Family("counter", name, description, labels))


def gauge(name: str, description: str, *, is_latest: bool = False, **labels: tuple[str, ...]) -> Gauge:
    """Declare the gauge `name`; each label has one of the given values.

    Its value is the sum of all workers' values, or with `is_latest` the one that was set last by any of them. Raises
    ValueError if the name is taken.
    """
    return Gauge(Family("gauge", name, description, labels, is_latest))


class Recorder:
    """The numbers of this process."""

    is_on = False

    def start(self, directory: Path, queries: Iterable[str], routes: Iterable[tuple[str, str]]) -> None:
        """Count from now on, in a file of `directory` that no other process counts in.

        `queries` are names; `routes` are methods and templates of paths.
        """
        self.stop()
        families = tuple(each.family for each in _declared.values())
        layout = Layout(families, tuple(queries), (*routes, NO_ROUTE))
        encoded = msgspec.json.encode(layout)
        digest = sha256(encoded + repr(BOUNDS).encode()).hexdigest()
        places = layout.places()
        size = places[NO_ROUTE].stop * 8
        file = _free_slot(directory / f"worker.{digest}")
        os.truncate(file, size)
        self._memory = mmap.mmap(file, size)  # keeps the file, and the lock, by a descriptor of its own
        os.close(file)
        numbers: Numbers = memoryview(self._memory).cast("d")
        for each in _declared.values():
            each.numbers = {key: numbers[places[key]] for key in each.family.combinations()}
            if isinstance(each, Gauge):
                for place in each.numbers.values():
                    place[:] = memoryview(bytes(place.nbytes)).cast("d")
        self._queries = {name: numbers[places[name]] for name in layout.queries}
        self._routes = {route: numbers[places[route]] for route in layout.routes}
        self._no_route = self._routes[NO_ROUTE]
        self.is_on = True
        # A reader finds the whole layout, or none.
        new = directory / f"new.{os.getpid()}"
        new.write_bytes(encoded)
        new.rename(directory / f"layout.{digest}")

    def stop(self) -> None:
        """Stop counting; what was counted stays in the file."""
        if not self.is_on:
            return
        self.is_on = False
        for each in _declared.values():
            each.numbers = {}
        del self._queries, self._routes, self._no_route
        self._memory.close()

    def request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request; `route` is the template of its path."""
        numbers = self._routes.get((method, route), self._no_route)  # type: ignore[arg-type]  # None is no key
        numbers[bisect_left(BOUNDS, seconds)] += 1
        numbers[SUM] += seconds
        numbers[STATUS + status] += 1

    def query(self, name: str, seconds: float, rows: int | None) -> None:
        """Count a query that returned or changed this many `rows`; None: it failed."""
        numbers = self._queries.get(name)
        if numbers is None:
            return
        numbers[bisect_left(BOUNDS, seconds)] += 1
        numbers[SUM] += seconds
        if rows is None:
            numbers[ERRORS] += 1
        else:
            numbers[ROWS] += rows


recorder = Recorder()


def _free_slot(path: Path) -> int:
    """Return the first file, `path` with a number, that is not locked, and lock it until this process ends."""
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


@asynccontextmanager
async def sampling() -> AsyncIterator[None]:
    """Sample the gauges that have a function once a second, until the end of the context."""
    task = asyncio.create_task(_sample()) if recorder.is_on else None
    yield
    if task:
        task.cancel()


async def _sample() -> None:
    while True:
        sample_gauges()
        await asyncio.sleep(1)


def sample_gauges() -> None:
    """Set the gauges that have a function."""
    for each in _declared.values():
        if isinstance(each, Gauge):
            each.sample()
