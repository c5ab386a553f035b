"""Workers whose process cannot be created, as real processes with a small application."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.support.processes import is_alive, wait_until
from tests.support.supervisors import STARTED, Supervise, events, limit_descriptors, pids

pytestmark = pytest.mark.slow  # starts processes
RETRY = "worker cannot start; retrying"


def test_process_that_cannot_be_created_is_retried(supervise: Supervise) -> None:
    running = supervise(2)
    limit_descriptors(running, -2)
    running.workers()[0].kill()
    wait_until(lambda: events(running).count(RETRY) == 5, "it is tried as often as slots are free")

    limit_descriptors(running, 20)

    wait_until(lambda: running.stdout.count(STARTED) == 3, "another worker serves")
    lines = [json.loads(line) for line in running.stdout.splitlines()]
    first = next(line for line in lines if line["event"] == RETRY)
    assert (first["reason"], first["seconds"]) == ("Too many open files", 0.2)
    assert set(events(running)) == {"worker died", RETRY}
    assert running.end() == 0
    assert running.stderr == ""


def test_failure_after_a_recovery_is_retried_soon(supervise: Supervise, broken: Path) -> None:
    """The successor has the slot of the worker that died, and the pause begins at the first again."""
    broken.touch()
    running = supervise(2)
    wait_until(lambda: events(running).count(RETRY) == 2, "it is tried twice")
    broken.unlink()
    wait_until(lambda: running.stdout.count(STARTED) == 2, "all workers serve")
    time.sleep(1)  # their parent notices
    broken.touch()

    running.workers()[0].kill()

    wait_until(lambda: events(running).count(RETRY) == 3, "it is tried again")
    lines = [json.loads(line) for line in running.stdout.splitlines()]
    assert [line["seconds"] for line in lines if line["event"] == RETRY] == [0.2, 0.4, 0.2]


def test_failed_fork_is_retried_without_fork(supervise: Supervise, fork_error: Path) -> None:
    """After a failed fork(), multiprocessing leaves its pipes open: many failures would use up the descriptors."""
    fork_error.write_text("BlockingIOError")

    running = supervise(2)

    assert events(running) == [RETRY]
    assert running.end() == 0


def test_reload_without_a_process_keeps_the_old_workers(supervise: Supervise) -> None:
    running = supervise(2)
    before = pids(running)
    limit_descriptors(running, 0)

    running.process.send_signal(signal.SIGHUP)

    wait_until(lambda: any(event.startswith("reload given up") for event in events(running)), "the reload is given up")
    assert pids(running) == before
    assert running.end() == 0


def test_parent_that_fails_stops_its_workers(supervise: Supervise, fork_error: Path) -> None:
    running = supervise(2, drain_seconds=1)
    first, second = running.workers()
    fork_error.write_text("RuntimeError")

    first.kill()

    assert running.process.wait(20) == 1
    assert not is_alive(second)
    assert events(running) == ["worker died", "parent failed; stopping"]
    assert "draining" in events(running, "info")
    assert "RuntimeError: no fork" in running.stdout
