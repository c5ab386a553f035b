"""Gives the numbers of all workers to Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

import fcntl
import os
import platform
import shutil
import tempfile
from array import array
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import accumulate
from operator import add
from pathlib import Path
from typing import TypeAlias

import msgspec
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from typing_extensions import override

from service import __version__
from service.settings import Settings
from service.telemetry.metrics import (
    BOUNDS,
    ERRORS,
    METRICS_DIRECTORY_VARIABLE,
    ROWS,
    STATUS,
    SUM,
    Counter,
    Gauge,
    Layout,
    Name,
)

Numbers: TypeAlias = "array[float]"  # at run time, only Python 3.12 knows it
# Whether a worker is alive, which holds the lock on its file then, and its numbers.
Slot: TypeAlias = tuple[bool, Numbers]
Levels = defaultdict[str, float]
# How many connections to each are used, idle, waited for, and may be there.
SERVERS = {
    "primary": (Gauge.CONNECTIONS_USED, Gauge.CONNECTIONS_IDLE, Gauge.CONNECTIONS_WAITING, Gauge.CONNECTIONS_MOST),
    "replica": (
        *(Gauge.REPLICA_CONNECTIONS_USED, Gauge.REPLICA_CONNECTIONS_IDLE),
        *(Gauge.REPLICA_CONNECTIONS_WAITING, Gauge.REPLICA_CONNECTIONS_MOST),
    ),
}
PREFIX = "metrics-"
LIMITS = [str(bound) for bound in BOUNDS] + ["+Inf"]


@contextmanager
def serve_metrics(settings: Settings) -> Iterator[None]:
    """Have the processes that are started within the context count, and serve their numbers on METRICS_PORT.

    Raises OSError where that port is not to be had.
    """
    with make_directory() as directory, ExitStack() as stack:
        os.environ[METRICS_DIRECTORY_VARIABLE] = str(directory)
        if settings.metrics_port is not None:
            host, _ = settings.address
            server, _ = start_http_server(settings.metrics_port, host, _registry(directory))
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        yield


@contextmanager
def make_directory() -> Iterator[Path]:
    """Make a folder for the numbers: in memory, where there is a file system for that (tmpfs(5)), or in TMPDIR.

    It is locked until the end of the context, or of this process. Those that nobody has locked are removed: a signal
    may end a process before it comes to that itself.
    """
    memory = "/dev/shm"  # noqa: S108 - the folder in it is our own
    in_memory = os.access(memory, os.W_OK) and "TMPDIR" not in os.environ
    place = Path(memory if in_memory else tempfile.gettempdir())
    for left in place.glob(f"{PREFIX}*"):
        with suppress(OSError), _locked(left):  # another user's, or somebody's who is alive
            shutil.rmtree(left)
    # Nobody takes it for one that was left, for it has its name once it is locked.
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
    """Hold the lock on a folder. Raises BlockingIOError where somebody else does."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def as_text(directory: Path, accept: str) -> tuple[bytes, str]:
    """Return the numbers in `directory` in the format that a header ``Accept`` prefers, and its media type."""
    encoder, media_type = choose_encoder(accept)
    return encoder(_registry(directory)), media_type


def _registry(directory: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Workers(directory))
    return registry


class Workers(Collector):
    """Adds up the numbers of all workers: counters of those that have ended, too."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @override
    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("service_build_info", "What runs", labels=["version", "python"])
        build.add_metric([__version__, platform.python_version()], 1)
        yield build
        found = [(layout, slots) for layout, slots in map(_slots, self._directory.glob("layout.*")) if slots]
        if not found:  # no worker has begun
            return
        totals = _add_up(found)
        alive = [
            Levels(float, zip(layout.single, numbers, strict=False))
            for layout, slots in found
            for is_alive, numbers in slots
            if is_alive
        ]
        yield GaugeMetricFamily("service_workers", "Worker processes that serve", len(alive))
        yield from _requests({route: totals[route] for layout, _ in found for route in layout.routes})
        yield from _queries({name: totals[name] for layout, _ in found for name in layout.queries})
        yield from _levels(alive)
        yield from _events(totals)


def _slots(file: Path) -> tuple[Layout, list[Slot]]:
    """Return a layout, and what workers have counted by it."""
    layout = msgspec.json.decode(file.read_bytes(), type=Layout)
    slots = map(_read, file.parent.glob(f"worker{file.suffix}.*"))
    return layout, [(is_alive, numbers) for is_alive, numbers in slots if len(numbers) == layout.size]


def _read(path: Path) -> Slot:
    with path.open("rb") as file:
        numbers = array("d", file.read())
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True, numbers
    return False, numbers


def _add_up(found: list[tuple[Layout, list[Slot]]]) -> dict[Name, Numbers]:
    totals: dict[Name, Numbers] = {}
    for layout, slots in found:
        numbers = array("d", map(sum, zip(*(each for _, each in slots), strict=True)))
        for name, place in layout.places().items():
            more = numbers[place]
            totals[name] = array("d", map(add, totals[name], more)) if name in totals else more
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


def _levels(alive: list[Levels]) -> Iterator[Metric]:
    def total(level: Gauge) -> float:
        return sum(levels[level.name] for levels in alive)

    connections = GaugeMetricFamily("database_connections", "Connections to PostgreSQL", labels=["server", "state"])
    waiting = GaugeMetricFamily("database_connections_waiting", "Requests that wait for one", labels=["server"])
    most = GaugeMetricFamily("database_connections_max", "Connections that there may be", labels=["server"])
    for server, levels in SERVERS.items():
        of_used, of_idle, of_waiting, of_most = map(total, levels)
        connections.add_metric([server, "used"], of_used)
        connections.add_metric([server, "idle"], of_idle)
        waiting.add_metric([server], of_waiting)
        most.add_metric([server], of_most)
    yield from (connections, waiting, most)
    hashing = total(Gauge.HASHING)
    yield GaugeMetricFamily("password_hashing_queue", "Passwords being hashed, or waiting for it", hashing)
    yield GaugeMetricFamily("replica_used", "Workers that read from the replica now", total(Gauge.REPLICA_USED))
    # What was seen last: another worker may have looked before a migration.
    checked = max(alive, key=lambda levels: levels[Gauge.MIGRATIONS_CHECKED_AT.name], default=Levels(float))
    needed, applied = (checked[level.name] for level in (Gauge.MIGRATIONS_NEEDED, Gauge.MIGRATIONS_APPLIED))
    yield GaugeMetricFamily("migrations_needed", "Migrations that this code needs", needed)
    yield GaugeMetricFamily("migrations_applied", "Those of them that the database has had", applied)


def _events(totals: dict[Name, Numbers]) -> Iterator[Metric]:
    def total(event: Counter) -> float:
        return totals[event.name][0]

    logins = CounterMetricFamily("logins", "Log-ins", labels=["outcome"])
    logins.add_metric(["ok"], total(Counter.LOGIN_OK))
    logins.add_metric(["failed"], total(Counter.LOGIN_FAILED))
    logins.add_metric(["throttled"], total(Counter.LOGIN_THROTTLED))
    yield logins
    reads = CounterMetricFamily("replica_reads", "Queries that a replica may answer", labels=["answered_by"])
    reads.add_metric(["replica"], total(Counter.REPLICA_ANSWERED))
    reads.add_metric(["primary"], total(Counter.REPLICA_PASSED_OVER))
    yield reads
    reused, created = total(Counter.REFRESH_REUSED), total(Counter.CONNECTION_CREATED)
    yield CounterMetricFamily("refresh_token_reuse", "Spent refresh tokens that came back: sessions ended", reused)
    yield CounterMetricFamily("database_connections_created", "Connections made to PostgreSQL", created)
