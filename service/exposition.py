"""Gives the numbers of all workers to Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

import fcntl
import os
import platform
import shutil
import signal
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import TypeAlias

import msgspec
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from typing_extensions import override

from service import __version__
from service.metrics import (
    BOUNDS,
    DIRECTORY,
    ERRORS,
    FIRST_QUERY,
    OF_QUERY,
    OF_ROUTE,
    ROWS,
    STATUSES,
    SUM,
    Event,
    Layout,
    Level,
)
from service.settings import Settings

Numbers: TypeAlias = "array[float]"  # at run time, only Python 3.12 knows it
PREFIX = "metrics-"
LIMITS = [str(bound) for bound in BOUNDS] + ["+Inf"]


@contextmanager
def exposed(settings: Settings) -> Iterator[None]:
    """Have the processes that are started within the context count, and serve their numbers on METRICS_PORT.

    Raises OSError where that port is not to be had.
    """
    with make_directory() as directory, ExitStack() as stack:
        os.environ[DIRECTORY] = str(directory)
        _clean_up_at_sigterm(directory)
        if settings.metrics_port is not None:
            host, _ = settings.address
            server, _ = start_http_server(settings.metrics_port, host, _registry(directory))
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        yield


@contextmanager
def make_directory() -> Iterator[Path]:
    """Make a folder for the numbers: in memory, where there is a file system for that (tmpfs(5)), or in TMPDIR.

    It is locked until the end of the context, or of this process: those that nobody has locked are removed.
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


def _clean_up_at_sigterm(directory: Path) -> None:
    """Remove `directory` when uvicorn, having ended by SIGTERM, lets the process die of it."""
    before = signal.getsignal(signal.SIGTERM)
    owner = os.getpid()

    def clean_up(*_: object) -> None:
        if os.getpid() == owner:  # not a worker that was forked
            shutil.rmtree(directory, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)
        signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, clean_up)


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
        try:
            layout = msgspec.json.decode((self._directory / "layout").read_bytes(), type=Layout)
        except FileNotFoundError:  # no worker has begun
            return
        slots = [_read(path) for path in self._directory.glob("worker.*")]
        whole = [(is_alive, numbers) for is_alive, numbers in slots if len(numbers) == layout.size]
        numbers = array("d", map(sum, zip(*(numbers for _, numbers in whole), strict=True)))
        alive = [numbers for is_alive, numbers in whole if is_alive]
        yield GaugeMetricFamily("service_workers", "Worker processes that serve", len(alive))
        yield from _requests(layout, numbers)
        yield from _queries(layout, numbers)
        yield from _levels(alive)
        yield from _events(numbers)


def _read(path: Path) -> tuple[bool, Numbers]:
    """Return the numbers of a worker, and whether it is alive: it holds the lock on them then."""
    with path.open("rb") as file:
        numbers = array("d", file.read())
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True, numbers
    return False, numbers


def _requests(layout: Layout, numbers: Numbers) -> Iterator[Metric]:
    labels = ["method", "route"]
    answers = CounterMetricFamily("http_requests", "Requests, by what they were answered", labels=[*labels, "status"])
    seconds = HistogramMetricFamily("http_request_duration_seconds", "From the head to the answer", labels=labels)
    for at, route in zip(range(layout.first_route, layout.size, OF_ROUTE), layout.routes, strict=True):
        if not any(numbers[at : at + SUM]):  # most routes know OPTIONS, which few ask for
            continue
        _observe(seconds, route, numbers, at)
        for status, number in enumerate(numbers[at + STATUSES : at + OF_ROUTE], start=100):
            if number:
                answers.add_metric([*route, str(status)], number)
    yield answers
    yield seconds


def _queries(layout: Layout, numbers: Numbers) -> Iterator[Metric]:
    seconds = HistogramMetricFamily("sql_query_duration_seconds", "In PostgreSQL, by file", labels=["query"])
    rows = CounterMetricFamily("sql_query_rows", "Rows returned or changed, by file", labels=["query"])
    errors = CounterMetricFamily("sql_query_errors", "Refused, or not answered in time, by file", labels=["query"])
    for at, name in zip(range(FIRST_QUERY, layout.first_route, OF_QUERY), layout.queries, strict=True):
        _observe(seconds, (name,), numbers, at)
        rows.add_metric([name], numbers[at + ROWS])
        errors.add_metric([name], numbers[at + ERRORS])
    yield seconds
    yield rows
    yield errors


def _observe(family: HistogramMetricFamily, labels: tuple[str, ...], numbers: Numbers, at: int) -> None:
    cumulated = accumulate(numbers[at : at + SUM])
    family.add_metric(list(labels), list(zip(LIMITS, cumulated, strict=True)), numbers[at + SUM])


def _levels(alive: list[Numbers]) -> Iterator[Metric]:
    def total(level: Level) -> float:
        return sum(numbers[level] for numbers in alive)

    connections = GaugeMetricFamily("database_connections", "Connections to PostgreSQL", labels=["state"])
    connections.add_metric(["used"], total(Level.CONNECTIONS_USED))
    connections.add_metric(["idle"], total(Level.CONNECTIONS_IDLE))
    yield connections
    most, waiting, hashing = map(total, (Level.CONNECTIONS_MOST, Level.CONNECTIONS_WAITING, Level.HASHING))
    yield GaugeMetricFamily("database_connections_max", "Connections that there may be", most)
    yield GaugeMetricFamily("database_connections_waiting", "Requests that wait for a connection", waiting)
    yield GaugeMetricFamily("password_hashing_queue", "Passwords being hashed, or waiting for it", hashing)
    yield GaugeMetricFamily("replica_used", "Workers that read from the replica now", total(Level.REPLICA_USED))
    # What was seen last: another worker may have looked before a migration.
    checked = max(alive, key=lambda numbers: numbers[Level.MIGRATIONS_CHECKED_AT], default=None)
    if checked and checked[Level.MIGRATIONS_CHECKED_AT]:
        needed, applied = checked[Level.MIGRATIONS_NEEDED], checked[Level.MIGRATIONS_APPLIED]
        yield GaugeMetricFamily("migrations_needed", "Migrations that this code needs", needed)
        yield GaugeMetricFamily("migrations_applied", "Those of them that the database has had", applied)


def _events(numbers: Numbers) -> Iterator[Metric]:
    logins = CounterMetricFamily("logins", "Log-ins", labels=["outcome"])
    logins.add_metric(["ok"], numbers[Event.LOGIN_OK])
    logins.add_metric(["failed"], numbers[Event.LOGIN_FAILED])
    logins.add_metric(["throttled"], numbers[Event.LOGIN_THROTTLED])
    yield logins
    reads = CounterMetricFamily("replica_reads", "Queries that a replica may answer", labels=["answered_by"])
    reads.add_metric(["replica"], numbers[Event.REPLICA_ANSWERED])
    reads.add_metric(["primary"], numbers[Event.REPLICA_PASSED_OVER])
    yield reads
    yield CounterMetricFamily(
        "refresh_token_reuse", "Spent refresh tokens that came back: sessions ended", numbers[Event.REFRESH_REUSED]
    )
    yield CounterMetricFamily(
        "database_connections_created", "Connections made to PostgreSQL", numbers[Event.CONNECTION_CREATED]
    )
