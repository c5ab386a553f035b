"""SIGHUP to the parent of several workers, as real processes with a small application."""

import os
import signal
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.processes import is_alive, wait_until
from tests.support.supervisors import STARTED, Supervise, events, pids

pytestmark = pytest.mark.slow  # starts processes


def test_reload_that_cannot_start_keeps_the_old_workers(supervise: Supervise, broken: Path) -> None:
    running = supervise(2)
    before = pids(running)
    broken.touch()

    running.process.send_signal(signal.SIGHUP)

    wait_until(lambda: any(event.startswith("reload given up") for event in events(running)), "the reload is given up")
    assert pids(running) == before
    broken.unlink()
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not before & pids(running), "all are replaced")


def test_reload_during_another_replaces_its_workers_too(supervise: Supervise) -> None:
    """They can have read their code before it was changed again."""
    running = supervise(2)
    os.killpg(running.process.pid, signal.SIGHUP)  # workers ignore it
    wait_until(lambda: len(pids(running)) == 3, "the first one starts a worker")
    before = pids(running)

    running.process.send_signal(signal.SIGHUP)

    wait_until(lambda: not before & pids(running), "all are replaced")
    assert events(running) == []


def test_old_worker_can_die_during_a_reload(supervise: Supervise) -> None:
    running = supervise(2)
    old = running.workers()
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(pids(running)) == 3, "it starts a worker")

    old[0].kill()

    wait_until(lambda: running.stdout.count(STARTED) == 4, "all are replaced")
    wait_until(lambda: not any(map(is_alive, old)), "the old ones have ended")
    assert "parent failed; stopping" not in events(running)


def test_reload_waits_for_the_workers_of_earlier_ones(supervise: Supervise) -> None:
    """Those of two reloads can drain at once."""
    running = supervise(2, drain_seconds=6)

    for replaced in (2, 4, 6):
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda n=replaced: events(running, "info").count("draining") == n, "all are replaced")  # type: ignore[misc]

    assert running.end() == 0
    assert events(running) == []
    assert running.stderr == ""


def test_draining_workers_leave_new_connections_to_others(supervise: Supervise) -> None:
    """They close each after its response, so they would always have the fewest."""
    running = supervise(2, drain_seconds=6)
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: events(running, "info").count("draining") == 2, "all are replaced")

    statuses = []
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(closing(HTTPConnection("127.0.0.1", running.port)))
            client.request("GET", "/")
            statuses.append(client.getresponse().status)

    assert statuses.count(200) >= 15  # on a busy machine, the others can need too long to accept
