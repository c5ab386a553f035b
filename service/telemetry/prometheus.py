"""Serves the metrics of all workers to Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

import fcntl
import os
import platform
import shutil
import socket
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import accumulate
from operator import add, itemgetter
from pathlib import Path
from typing import TypeAlias

import attrs
import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from typing_extensions import override

from service import __version__
from service.telemetry.metrics import (
    BOUNDS,
    ERRORS,
    METRICS_DIRECTORY_VARIABLE,
    ROWS,
    STATUS,
    SUM,
    Family,
    Key,
    Layout,
)
from service.telemetry.metrics_server import serving

Numbers: TypeAlias = "array[float]"  # at run time, only Python 3.12 knows it
# Whether a worker is alive, and so holds the lock on its file, and its numbers.
Slot: TypeAlias = tuple[bool, Numbers]
PREFIX = "metrics-"
LIMITS = [str(bound) for bound in BOUNDS] + ["+Inf"]


@contextmanager
def serve_metrics(listener: socket.socket | None) -> Iterator[None]:
    """Collect the metrics of the processes that start within the context, and serve them on `listener`, if any."""
    with make_directory() as directory, ExitStack() as stack:
        os.environ[METRICS_DIRECTORY_VARIABLE] = str(directory)
        if listener is not None:
            stack.enter_context(serving(listener, lambda accept: as_text(directory, accept)))
        yield


@contextmanager
def make_directory() -> Iterator[Path]:
    """Make a folder for the numbers, in memory if there is a file system for that (tmpfs(5)), else in TMPDIR.

    It is locked until the end of the context, or of this process. Unlocked folders are removed: the process that made
    one was killed before it could remove it.
    """
    memory = "/dev/shm"  # noqa: S108 - the folder in it is our own
    in_memory = os.access(memory, os.W_OK) and "TMPDIR" not in os.environ
    place = Path(memory if in_memory else tempfile.gettempdir())
    for left in place.glob(f"{PREFIX}*"):
        with suppress(OSError), _locked(left):  # another user's, or still in use
            shutil.rmtree(left)
    # It is locked before it gets its name, so that no other process takes it for an abandoned one.
    new = Path(tempfile.mkdtemp(dir=place))
    directory = new.with_name(f"{PREFIX}{new.name}")
    with _locked(new):
        new.rename(directory)
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the lock on a folder. Raises BlockingIOError if another process does."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def as_text(directory: Path, accept: str) -> tuple[bytes, str]:
    """Return the metrics in `directory`, in the format that an ``Accept`` header prefers, and its media type."""
    encoder, media_type = choose_encoder(accept)
    return encoder(_registry(directory)), media_type


def _registry(directory: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(SharedMemoryCollector(directory))
    return registry


@attrs.frozen
class _Reading:
    """What the workers of one layout have counted."""

    layout: Layout
    slots: list[Slot]
    places: dict[Key, slice]


class SharedMemoryCollector(Collector):
    """Collects the numbers of all workers; counters include those of workers that have ended."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @override
    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("service_build_info", "What runs", labels=["version", "python"])
        build.add_metric([__version__, platform.python_version()], 1)
        yield build
        readings = [reading for file in self._directory.glob("layout.*") if (reading := _read_slots(file)).slots]
        if not readings:  # no worker has begun
            return
        totals = _add_up(readings)
        alive = sum(is_alive for reading in readings for is_alive, _ in reading.slots)
        yield GaugeMetricFamily("service_workers", "Worker processes that serve", alive)
        yield from _requests({route: totals[route] for reading in readings for route in reading.layout.routes})
        yield from _queries({name: totals[name] for reading in readings for name in reading.layout.queries})
        for family in _merge(family for reading in readings for family in reading.layout.families):
            yield _counter(family, totals) if family.kind == "counter" else _gauge(family, readings)


def _read_slots(file: Path) -> _Reading:
    """Return a layout, and what workers have counted by it."""
    layout = msgspec.json.decode(file.read_bytes(), type=Layout)
    places = layout.places()
    slots = map(_read, file.parent.glob(f"worker{file.suffix}.*"))
    size = places[layout.routes[-1]].stop
    return _Reading(layout, [(is_alive, numbers) for is_alive, numbers in slots if len(numbers) == size], places)


def _read(path: Path) -> Slot:
    with path.open("rb") as file:
        numbers = array("d", file.read())
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True, numbers
    return False, numbers


def _add_up(readings: list[_Reading]) -> dict[Key, Numbers]:
    totals: dict[Key, Numbers] = {}
    for reading in readings:
        numbers = array("d", map(sum, zip(*(each for _, each in reading.slots), strict=True)))
        for key, place in reading.places.items():
            more = numbers[place]
            totals[key] = array("d", map(add, totals[key], more)) if key in totals else more
    return totals


def _requests(routes: dict[tuple[str, str], Numbers]) -> Iterator[Metric]:
    labels = ["method", "route"]
    answers = CounterMetricFamily("http_requests", "Requests, by what they were answered", labels=[*labels, "status"])
    seconds = HistogramMetricFamily("http_request_duration_seconds", "From the head to the answer", labels=labels)
    for route, numbers in routes.items():
        if not any(numbers[:SUM]):  # most routes know OPTIONS, which few ask for
            continue
        _observe(seconds, route, numbers)
        for status, number in enumerate(numbers[STATUS + 100 :], start=100):
            if number:
                answers.add_metric([*route, str(status)], number)
    yield answers
    yield seconds


def _queries(queries: dict[str, Numbers]) -> Iterator[Metric]:
    seconds = HistogramMetricFamily("sql_query_duration_seconds", "In PostgreSQL, by file", labels=["query"])
    rows = CounterMetricFamily("sql_query_rows", "Rows returned or changed, by file", labels=["query"])
    errors = CounterMetricFamily("sql_query_errors", "Refused, or not answered in time, by file", labels=["query"])
    for name, numbers in queries.items():
        _observe(seconds, (name,), numbers)
        rows.add_metric([name], numbers[ROWS])
        errors.add_metric([name], numbers[ERRORS])
    yield seconds
    yield rows
    yield errors


def _observe(family: HistogramMetricFamily, labels: tuple[str, ...], numbers: Numbers) -> None:
    cumulated = accumulate(numbers[:SUM])
    family.add_metric(list(labels), list(zip(LIMITS, cumulated, strict=True)), numbers[SUM])


def _merge(families: Iterable[Family]) -> Iterable[Family]:
    """Return each family once, with all values that any code version declares for its labels."""
    merged: dict[str, Family] = {}
    for family in families:
        labels = dict(family.labels)
        if (other := merged.get(family.name)) and other.labels.keys() == labels.keys():
            labels = {name: tuple(dict.fromkeys((*other.labels[name], *labels[name]))) for name in labels}
        merged[family.name] = msgspec.structs.replace(family, labels=labels)
    return merged.values()


def _counter(family: Family, totals: dict[Key, Numbers]) -> Metric:
    metric = CounterMetricFamily(family.name, family.description, labels=[*family.labels])
    for key in family.combinations():
        metric.add_metric(key[1:], totals[key][0] if key in totals else 0)
    return metric


def _gauge(family: Family, readings: list[_Reading]) -> Metric:
    """Return a gauge of the workers that are alive: its sum, or the value that was set last."""
    metric = GaugeMetricFamily(family.name, family.description, labels=[*family.labels])
    for key in family.combinations():
        values = [
            numbers[reading.places[key]]
            for reading in readings
            if key in reading.places
            for is_alive, numbers in reading.slots
            if is_alive
        ]
        if family.is_latest:
            metric.add_metric(key[1:], max(values, key=itemgetter(1), default=(0.0, 0.0))[0])
        else:
            metric.add_metric(key[1:], sum(value for (value,) in values))
    return metric
