"""Renders the metrics of all workers for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

import fcntl
import os
import platform
import shutil
import socket
import tempfile
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from typing import TypeAlias

import attrs
import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from typing_extensions import override

from service import __version__
from service.telemetry.metrics import (
    BUCKET_BOUNDS,
    ERRORS,
    METRICS_DIRECTORY_VARIABLE,
    ROWS,
    STATUS,
    STATUSES,
    SUM,
    Family,
    Key,
    Layout,
    unwritable,
)
from service.telemetry.metrics_server import serve_in_thread

Numbers: TypeAlias = "array[float]"  # a string, because array is not generic before Python 3.12
PREFIX = "metrics-"
# Shown as 0 until the first failure: Prometheus would see no increase in a series that begins with 1.
FAILURES = (500, 503)
BUCKET_LABELS = [str(bound) for bound in BUCKET_BOUNDS] + ["+Inf"]


@contextmanager
def collect_metrics(listener: socket.socket | None) -> Iterator[None]:
    """Collect the metrics of processes started within the context, and serve them on `listener`, if given."""
    with make_directory() as directory, ExitStack() as stack:
        os.environ[METRICS_DIRECTORY_VARIABLE] = str(directory)
        if listener is not None:
            stack.enter_context(serve_in_thread(listener, lambda accept: render_metrics(directory, accept)))
        yield


@contextmanager
def make_directory() -> Iterator[Path]:
    """Create a folder for the workers' files, in memory (tmpfs(5)) if possible, else in the temporary directory.

    It stays locked until the context or this process ends. Unlocked folders are leftovers of killed processes, and are
    removed. Raises OperatorError.
    """
    memory = "/dev/shm"  # noqa: S108 - mkdtemp creates a private folder in it
    in_memory = os.access(memory, os.W_OK) and "TMPDIR" not in os.environ
    try:
        parent = Path(memory if in_memory else tempfile.gettempdir())
    except FileNotFoundError as error:  # each of those that Python tries is missing, read-only or full
        raise unwritable(error) from error
    for leftover in parent.glob(f"{PREFIX}*"):
        with suppress(OSError), _locked(leftover):  # fails for folders of other users, and for those in use
            shutil.rmtree(leftover)
    # Locked before it gets its name, so that other processes do not remove it.
    new = Path(tempfile.mkdtemp(dir=parent))
    directory = new.with_name(f"{PREFIX}{new.name}")
    with _locked(new):
        new.rename(directory)
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the lock on `directory`. Raises BlockingIOError if another process holds it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def render_metrics(directory: Path, accept: str) -> tuple[bytes, str]:
    """Return the metrics in `directory` in the format that the ``Accept`` header prefers, and its media type."""
    try:
        encoder, media_type = choose_encoder(accept)
    except TypeError:  # prometheus-client cannot compare versions such as 1.x
        encoder, media_type = choose_encoder("")
    return encoder(SharedMemoryCollector(directory)), media_type


@attrs.frozen
class _Worker:
    """The numbers that a worker has recorded. It is alive if it holds the lock on its file."""

    layout: Layout
    is_alive: bool
    numbers: dict[Key, Numbers]


class SharedMemoryCollector(Collector):
    """Collects the numbers of all workers; counters include workers that have ended."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @override
    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(
            "service_build_info", "Version of the service and of Python", labels=["version", "python"]
        )
        build.add_metric([__version__, platform.python_version()], 1)
        yield build
        workers = [worker for file in self._directory.glob("layout.*") for worker in _read_workers(file)]
        if not workers:  # none has started
            return
        totals = _add_up(workers)
        alive = [worker for worker in workers if worker.is_alive]
        yield GaugeMetricFamily("service_workers", "Running worker processes", len(alive))
        yield from _requests({route: totals[route] for worker in workers for route in worker.layout.routes})
        yield from _queries({name: totals[name] for worker in workers for name in worker.layout.queries})
        for family in _merge(family for worker in workers for family in worker.layout.families):
            yield _counter(family, totals) if family.kind == "counter" else _gauge(family, alive)


def _read_workers(layout_file: Path) -> Iterator[_Worker]:
    """Read the numbers of the workers that use a layout."""
    layout = msgspec.json.decode(layout_file.read_bytes(), type=Layout)
    slices = layout.slices()
    size = slices[layout.routes[-1]].stop
    for path in layout_file.parent.glob(f"worker{layout_file.suffix}.*"):
        is_alive, numbers = _read(path)
        if len(numbers) == size:  # otherwise it is just starting, or of a release that counts something else
            yield _Worker(layout, is_alive, {key: numbers[position] for key, position in slices.items()})


def _read(path: Path) -> tuple[bool, Numbers]:
    """Return whether the file is locked, and its numbers."""
    with path.open("rb") as file:
        numbers = array("d", file.read())
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True, numbers
    return False, numbers


def _add_up(workers: list[_Worker]) -> dict[Key, Numbers]:
    by_key: defaultdict[Key, list[Numbers]] = defaultdict(list)
    for worker in workers:
        for key, numbers in worker.numbers.items():
            by_key[key].append(numbers)
    return {key: array("d", map(sum, zip(*each, strict=True))) for key, each in by_key.items()}


def _requests(routes: dict[tuple[str, str], Numbers]) -> Iterator[Metric]:
    labels = ["method", "route"]
    requests = CounterMetricFamily("http_requests", "Requests, by response status", labels=[*labels, "status"])
    seconds = HistogramMetricFamily(
        "http_request_duration_seconds", "Seconds from the request head to the response", labels=labels
    )
    for route, numbers in routes.items():
        if any(numbers[:SUM]):  # omits routes that were never requested, such as most OPTIONS
            _observe(seconds, route, numbers)
        for status in STATUSES:
            number = numbers[STATUS + status]
            if number or status in FAILURES:
                requests.add_metric([*route, str(status)], number)
    yield requests
    yield seconds


def _queries(queries: dict[str, Numbers]) -> Iterator[Metric]:
    seconds = HistogramMetricFamily("sql_query_duration_seconds", "Seconds in PostgreSQL, by query", labels=["query"])
    rows = CounterMetricFamily("sql_query_rows", "Rows returned or changed, by query", labels=["query"])
    errors = CounterMetricFamily("sql_query_errors", "Failed or timed-out queries", labels=["query"])
    for name, numbers in queries.items():
        _observe(seconds, (name,), numbers)
        rows.add_metric([name], numbers[ROWS])
        errors.add_metric([name], numbers[ERRORS])
    yield seconds
    yield rows
    yield errors


def _observe(family: HistogramMetricFamily, labels: tuple[str, ...], numbers: Numbers) -> None:
    cumulative = accumulate(numbers[:SUM])
    family.add_metric(list(labels), list(zip(BUCKET_LABELS, cumulative, strict=True)), numbers[SUM])


def _merge(families: Iterable[Family]) -> Iterable[Family]:
    """Return each family once, with all label values that any running release declares."""
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


def _gauge(family: Family, workers: list[_Worker]) -> Metric:
    """Return a gauge over the running `workers`: the sum, or the value set last."""
    metric = GaugeMetricFamily(family.name, family.description, labels=[*family.labels])
    for key in family.combinations():
        values = [worker.numbers[key] for worker in workers if key in worker.numbers]
        if family.is_latest:
            metric.add_metric(key[1:], max(values, key=itemgetter(1), default=(0.0, 0.0))[0])
        else:
            metric.add_metric(key[1:], sum(value for (value,) in values))
    return metric
