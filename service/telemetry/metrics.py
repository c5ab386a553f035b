"""Counters, gauges, and histograms for routes and queries, recorded if METRICS_PORT or METRICS_TOKEN is set.

Declare a counter or a gauge in the module that updates it::

    from service.telemetry import counter

    LOGINS = counter("logins_total", "Log-ins", outcome=("ok", "failed"))
    LOGINS.inc(outcome="ok")

and list it in docs/observability.md; a test compares them.

Each worker writes to a memory-mapped file of its own, without locks; `service/telemetry/prometheus.py` reads the files
of all workers. A worker that replaces another continues with its file, so counters never decrease.
"""

import asyncio
import mmap
import os
import time
from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from itertools import accumulate, count, product
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from service.problems import OperatorError

# Upper bounds of the histogram buckets, in seconds; one more bucket holds longer times.
BUCKET_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
# The numbers of a query or a route start with a histogram: its buckets, and the sum of the observed seconds.
SUM = len(BUCKET_BOUNDS) + 1
# Then a query has the numbers of rows and errors; a route has one count per status, at STATUS + status.
ROWS, ERRORS = SUM + 1, SUM + 2
STATUSES = range(100, 600)
STATUS = SUM + 1 - STATUSES.start
QUERY_SIZE, ROUTE_SIZE = ERRORS + 1, STATUS + STATUSES.stop
NO_ROUTE = ("", "(none)")
# Set by `serve` for its workers; not a setting.
METRICS_DIRECTORY_VARIABLE = "_METRICS_DIRECTORY"
# The name of a query, the method and path template of a route, or the name and label values of a metric.
Key: TypeAlias = str | tuple[str, ...]
Numbers: TypeAlias = "memoryview[float]"


class Family(msgspec.Struct, frozen=True):
    """The declaration of a metric; `labels` maps each label to its possible values."""

    kind: Literal["counter", "gauge"]
    name: str
    description: str
    labels: dict[str, tuple[str, ...]]
    is_latest: bool = False
    """Whether the metric is the value set last by any worker, instead of the sum of all workers."""

    def combinations(self) -> Iterator[tuple[str, ...]]:
        """Yield the key of each combination of label values."""
        return product((self.name,), *self.labels.values())


class Layout(msgspec.Struct, frozen=True):
    """The order of the numbers in a worker's file. Workers of another release can have another layout."""

    families: tuple[Family, ...]
    queries: tuple[str, ...]
    routes: tuple[tuple[str, str], ...]
    """Methods and path templates; the last is NO_ROUTE."""

    def slices(self) -> dict[Key, slice]:
        """Return the position of each key's numbers."""
        # The second number of a latest value is the time when it was set.
        sizes: dict[Key, int] = {key: 1 + family.is_latest for family in self.families for key in family.combinations()}
        sizes |= dict.fromkeys(self.queries, QUERY_SIZE) | dict.fromkeys(self.routes, ROUTE_SIZE)
        ends = accumulate(sizes.values())
        return {key: slice(end - size, end) for (key, size), end in zip(sizes.items(), ends, strict=True)}


_metrics: dict[str, "_Metric"] = {}


class _Metric:
    """A declared metric."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.numbers: dict[tuple[str, ...], Numbers]
        self.count_nowhere()
        if family.name in _metrics:
            raise ValueError(f"The metric {family.name} is declared twice")
        _metrics[family.name] = self

    def count_nowhere(self) -> None:
        """Count in memory that nothing reads: wrong labels are then errors even if this process does not record."""
        self.numbers = {key: memoryview(array("d", [0, 0])) for key in self.family.combinations()}

    def _numbers_of(self, labels: dict[str, str]) -> Numbers:
        """Return the numbers of one combination of labels. Raises KeyError if it is not declared."""
        return self.numbers[self.family.name, *map(labels.__getitem__, self.family.labels)]


class Counter(_Metric):
    """A number that only increases."""

    def inc(self, by: int = 1, /, **labels: str) -> None:
        """Add `by` to the number with these `labels`. Raises KeyError if they are not declared."""
        self._numbers_of(labels)[0] += by


class Gauge(_Metric):
    """A number that can go up and down; the numbers of workers that have ended are ignored."""

    def __init__(self, family: Family) -> None:
        super().__init__(family)
        self._functions: dict[tuple[tuple[str, str], ...], Callable[[], float]] = {}

    def set(self, value: float, **labels: str) -> None:
        """Set the number with these `labels`. Raises KeyError if they are not declared."""
        numbers = self._numbers_of(labels)
        numbers[0] = value
        if self.family.is_latest:
            numbers[1] = time.monotonic()  # the same in all processes, even if the clock is set back

    def set_function(self, function: Callable[[], float], **labels: str) -> None:
        """Set the number with these `labels` to the result of `function`, once a second."""
        self._functions[tuple(labels.items())] = function

    def sample(self) -> None:
        """Set the numbers that have a function."""
        for labels, function in self._functions.items():
            self.set(function(), **dict(labels))


def counter(name: str, description: str, **labels: tuple[str, ...]) -> Counter:
    """Declare the counter `name`, which ends in ``_total``; each label is given with its possible values.

    Raises ValueError if the name is taken.
    """
    return Counter(Family("counter", name, description, labels))


def gauge(name: str, description: str, *, is_latest: bool = False, **labels: tuple[str, ...]) -> Gauge:
    """Declare the gauge `name`; each label is given with its possible values.

    Its value is the sum over all workers, or with `is_latest` the value set last by any worker. Raises ValueError if
    the name is taken.
    """
    return Gauge(Family("gauge", name, description, labels, is_latest))


class Recorder:
    """Records the metrics of this process, while `is_on`."""

    is_on = False

    def start(self, directory: Path, queries: Iterable[str], routes: Iterable[tuple[str, str]]) -> None:
        """Start recording, in a file in `directory` that no other process uses.

        `queries` are names; `routes` are methods and path templates. Raises OperatorError if the disk is full.
        """
        self.stop()
        families = tuple(each.family for each in _metrics.values())
        layout = Layout(families, tuple(queries), (*routes, NO_ROUTE))
        encoded = msgspec.json.encode(layout)
        slices = layout.slices()
        # A release that counts something else per query or route must not continue the file of an earlier one.
        digest = sha256(encoded + repr((BUCKET_BOUNDS, slices)).encode()).hexdigest()
        size = slices[NO_ROUTE].stop * 8
        file = _lock_free_file(directory / f"worker.{digest}")
        if os.fstat(file).st_size < size:
            _write(file, bytes(size))  # allocates all of it: on a full disk, mmap would kill this process (SIGBUS)
        self._memory = mmap.mmap(file, size)  # duplicates the descriptor, which keeps the lock
        os.close(file)
        numbers: Numbers = memoryview(self._memory).cast("d")
        for each in _metrics.values():
            each.numbers = {key: numbers[slices[key]] for key in each.family.combinations()}
            if isinstance(each, Gauge):
                for values in each.numbers.values():
                    values[:] = memoryview(bytes(values.nbytes)).cast("d")
        self._queries = {name: numbers[slices[name]] for name in layout.queries}
        self._routes = {route: numbers[slices[route]] for route in layout.routes}
        self._no_route = self._routes[NO_ROUTE]
        self.is_on = True
        # Renaming is atomic: readers find the complete layout or none.
        new = directory / f"new.{os.getpid()}"
        _write(new, encoded)
        new.rename(directory / f"layout.{digest}")

    def stop(self) -> None:
        """Stop recording; the numbers stay in the file."""
        if not self.is_on:
            return
        self.is_on = False
        for each in _metrics.values():
            each.count_nowhere()
        del self._queries, self._routes, self._no_route
        self._memory.close()

    def request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request; `route` is its path template."""
        numbers = self._routes.get((method, route), self._no_route)  # type: ignore[arg-type]  # None is never a key
        numbers[bisect_left(BUCKET_BOUNDS, seconds)] += 1
        numbers[SUM] += seconds
        numbers[STATUS + status] += 1

    def query(self, name: str, seconds: float, rows: int | None) -> None:
        """Count a query that returned or changed `rows` rows; None means that it failed."""
        numbers = self._queries.get(name)
        if numbers is None:
            return
        numbers[bisect_left(BUCKET_BOUNDS, seconds)] += 1
        numbers[SUM] += seconds
        if rows is None:
            numbers[ERRORS] += 1
        else:
            numbers[ROWS] += rows


recorder = Recorder()


def _lock_free_file(path: Path) -> int:
    """Lock the first unlocked file among `path`.0, `path`.1, …, until this process ends; return its descriptor."""
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


def _write(file: int | Path, content: bytes) -> None:
    """Write to `file`, a path or a descriptor. Raises OperatorError."""
    try:
        with open(file, "wb", closefd=isinstance(file, Path)) as opened:
            opened.write(content)
    except OSError as error:
        raise unwritable(error) from error


def unwritable(error: OSError) -> OperatorError:
    """Return the error that tells operators why the files of the metrics cannot be written."""
    advice = "free space in /dev/shm, or let TMPDIR name another folder"
    return OperatorError(f"The files of the metrics cannot be written: {error.strerror}; {advice}")


@asynccontextmanager
async def sampling() -> AsyncIterator[None]:
    """Sample the gauges that have a function once a second, within the context."""
    task = asyncio.create_task(_sample()) if recorder.is_on else None
    try:
        yield
    finally:
        if task:
            task.cancel()


async def _sample() -> None:
    while True:
        sample_gauges()
        await asyncio.sleep(1)


def sample_gauges() -> None:
    """Set the gauges that have a function."""
    for each in _metrics.values():
        if isinstance(each, Gauge):
            each.sample()
