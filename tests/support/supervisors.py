"""The small application behind the parent of several workers, as real processes."""

import json
import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.support.processes import ROOT, Running, serve_settings, wait_until

STARTED = "Application startup complete."


class Supervise(Protocol):
    """Starts the small application."""

    def __call__(self, workers: int, drain_seconds: int = 0) -> Running: ...


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Return the path of a file whose presence keeps workers from starting."""
    return tmp_path / "broken"


@pytest.fixture
def fork_error(tmp_path: Path) -> Path:
    """Return the path of a file that names the exception that fork() raises while it exists."""
    return tmp_path / "fork_error"


@pytest.fixture
def supervise(tmp_path: Path, broken: Path, fork_error: Path) -> Iterator[Supervise]:
    """Return a function that starts the small application; stop it after the test."""
    with ExitStack() as stack:

        def supervise(workers: int, drain_seconds: int = 0) -> Running:
            numbers = {"WEB_CONCURRENCY": str(workers), "DRAIN_SECONDS": str(drain_seconds)}
            files = {"BROKEN": str(broken), "FORK_ERROR": str(fork_error)}
            settings = serve_settings("postgresql://127.0.0.1:1/none", **numbers, **files)
            program = [sys.executable, "-m", "tests.support.supervised"]
            running = stack.enter_context(Running("supervised", tmp_path, settings, ROOT, program))
            if not broken.exists():
                wait_until(lambda: running.stdout.count(STARTED) == workers, "all workers serve")
            return running

        yield supervise


def events(running: Running, level: str = "error") -> list[str]:
    """Return the logged events of a level."""
    lines = [json.loads(line) for line in running.stdout.splitlines()]
    return [line["event"] for line in lines if line["level"] == level]


def pids(running: Running) -> set[int]:
    """Return the workers' process ids."""
    return {worker.pid for worker in running.workers()}


def limit_descriptors(running: Running, more: int) -> None:
    """Leave a process without clients `more` file descriptors."""
    files = psutil.Process(running.process.pid).num_fds()
    _, hard = resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (files + more, hard))
