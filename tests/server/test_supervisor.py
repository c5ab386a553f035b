"""The parent of several workers, as real processes with a small application."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]  # psutil has no type hints
import pytest

from tests.support.processes import (
    ROOT,
    Running,
    command,
    environment,
    free_port,
    is_alive,
    serve_settings,
    wait_until,
)
from tests.support.supervised import TIMEOUTS
from tests.support.supervisors import STARTED, Supervise, events, limit_descriptors, pids

pytestmark = pytest.mark.slow  # starts processes


def test_hung_event_loop_is_replaced(supervise: Supervise) -> None:
    running = supervise(2)
    before = pids(running)
    with socket.create_connection(("127.0.0.1", running.port)) as client:
        client.sendall(b"GET /block HTTP/1.1\r\nHost: localhost\r\n\r\n")

        wait_until(lambda: running.stdout.count(STARTED) == 3, "another worker serves")

    assert events(running) == ["worker does not respond", "worker died"]
    assert len(before & pids(running)) == 1


def test_failed_worker_start_is_retried_with_backoff(supervise: Supervise, broken: Path) -> None:
    """The failures of all workers count as one attempt."""
    broken.touch()
    running = supervise(4)
    wait_until(lambda: events(running).count("worker cannot start; retrying") == 3, "it is tried three times")

    broken.unlink()

    wait_until(lambda: running.stdout.count(STARTED) == 4, "all workers serve")
    lines = [json.loads(line) for line in running.stdout.splitlines()]
    assert [line["seconds"] for line in lines if "seconds" in line] == [0.2, 0.4, 0.4]
    reasons = [line["reason"] for line in lines if line["event"] == "worker cannot start"]
    assert reasons == ["this is broken"] * 6  # four at once, then one at a time
    assert running.stderr == ""


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGTERM], ids=["a reload", "another SIGTERM"])
def test_sigterm_is_handled_at_any_moment(supervise: Supervise, first: signal.Signals) -> None:
    running = supervise(4)
    running.process.send_signal(first)

    assert running.end() == 0

    assert "Traceback" not in running.stdout + running.stderr


def test_frozen_worker_does_not_delay_the_end(supervise: Supervise) -> None:
    running = supervise(2, drain_seconds=1)
    running.workers()[0].suspend()
    began = time.monotonic()

    assert running.end() == 0

    assert 1 < time.monotonic() - began < 1 + TIMEOUTS.end + 3


def test_frozen_service_continues(supervise: Supervise) -> None:
    """``docker pause`` freezes all processes: the missing heartbeats must not count."""
    running = supervise(2)
    family = running.process_tree()
    for process in family:
        process.suspend()
    time.sleep(TIMEOUTS.heartbeat + 1)

    for process in family:
        process.resume()

    time.sleep(1)
    assert running.process_tree() == family
    assert events(running) == []


def shares(running: Running) -> list[int]:
    """Return how many of 64 connections each worker has, the smallest number first."""
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(HTTPConnection("127.0.0.1", running.port))) for _ in range(64)]
        for client in clients:
            client.connect()
        answered: Counter[bytes] = Counter()
        for client in clients:
            client.request("GET", "/")
            answered[client.getresponse().read()] += 1
    return sorted(answered.values())


def test_connections_are_shared_evenly(supervise: Supervise) -> None:
    """A busy machine can pause a worker while the others accept, but not three times."""
    running = supervise(4)

    found = [shares(running) for _ in range(3)]

    assert max(each[0] for each in found if len(each) == 4) >= 12, found


def test_single_worker_ignores_sighup_with_a_sentence(supervise: Supervise) -> None:
    running = supervise(1)

    running.process.send_signal(signal.SIGHUP)

    wait_until(lambda: events(running, "warning") != [], "it says so")
    assert events(running, "warning")[0].startswith("SIGHUP is ignored")
    assert running.status("/") == 200


def test_idle_clients_give_way_when_descriptors_run_out(supervise: Supervise) -> None:
    """It is logged once, even if the limit is lowered later."""
    running = supervise(1)
    limit_descriptors(running, 40)
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port)))
        statuses = {running.status("/") for _ in range(5)}
        limit_descriptors(running, -10)

        statuses |= {httpx.get(running.url, trust_env=False).status_code for _ in range(20)}

    assert statuses == {200}
    assert events(running) == ["connections cannot be accepted"]


def test_busy_clients_are_served_when_descriptors_run_out(supervise: Supervise) -> None:
    """They are not closed; accepting pauses."""
    running = supervise(1)
    limit_descriptors(running, 20)
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", running.port))) for _ in range(40)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n")
        wait_until(lambda: events(running) != [], "descriptors run out")
        time.sleep(1)  # it tries again

        for client in clients:
            client.sendall(b"Host: localhost\r\n\r\n")

        assert {client.recv(12) for client in clients} == {b"HTTP/1.1 200"}
    assert events(running) == ["connections cannot be accepted"]


def test_sigterm_to_the_group_ends_parent_and_workers(supervise: Supervise) -> None:
    running = supervise(2, drain_seconds=1)

    os.killpg(running.process.pid, signal.SIGTERM)

    wait_until(lambda: running.status("/") == 503, "it drains")
    assert running.process.wait(20) == 0
    assert events(running) == []


CALL_BACK = """
import sys, time, weakref

def hold(_):
    print("now", flush=True)
    time.sleep(1)

class Hook:
    def find_spec(self, name, *_):
        if name == {!r}:
            collected = set()
            reference = weakref.ref(collected, hold)
            del collected

sys.meta_path.insert(0, Hook())
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="only root can make a PID namespace")
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("imported", ["service.cli", "click", "uvicorn", "litestar"])
def test_starting_container_process_ends_on_sigterm(tmp_path: Path, workers: str, imported: str) -> None:
    """The kernel ignores a signal for which that process has no handler, and Python an exception in this callback."""
    settings = serve_settings("postgresql:///none", WEB_CONCURRENCY=workers, PORT=str(free_port()))
    (tmp_path / "sitecustomize.py").write_text(CALL_BACK.format(imported))
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*unshare, "true"], check=False).returncode:
        pytest.skip("this container cannot make a PID namespace")
    with subprocess.Popen(
        [*unshare, *command("serve")],
        cwd=ROOT,
        env=environment({**settings, "PYTHONPATH": str(tmp_path)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        [first] = psutil.Process(process.pid).children()

        first.send_signal(signal.SIGTERM)

        try:
            process.wait(20)
        finally:
            process.kill()
        assert not is_alive(first)
