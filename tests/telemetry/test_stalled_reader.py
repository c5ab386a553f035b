"""The service keeps responding if the reader of its standard output hangs."""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from tests.support.processes import Running, running, wait_until

pytestmark = pytest.mark.slow
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
AT_ONCE = 50  # requests on one connection


@contextmanager
def stalled(database_url: str, folder: Path, workers: int) -> Iterator[tuple[Running, TextIO]]:
    """Start `serve` with a pipe as standard output; return the pipe's other end, still unread."""
    pipe = folder / "stdout"
    os.mkfifo(pipe)
    read_end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # the read does not block
    os.set_blocking(read_end, True)
    with os.fdopen(read_end) as output, running(database_url, folder, WEB_CONCURRENCY=str(workers)) as served:
        wait_until(lambda: served.status("/health/ready") == 200, "it is ready")
        yield served, output


def ask(served: Running, times: int) -> int:
    """Request liveness; return the number of 200 responses."""
    answered = 0
    for _ in range(times // AT_ONCE):
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as client:
            client.sendall(LIVE * AT_ONCE)
            answers = bytearray()
            while answers.count(b'{"status":"live"}') < AT_ONCE:
                more = client.recv(64 * 1024)
                assert more, answers
                answers += more
            answered += answers.count(b"HTTP/1.1 200 ")
    return answered


def logged_or_dropped(lines: list[str]) -> int:
    """Return the number of logged liveness requests, and of lines reported as dropped."""
    entries = [json.loads(line) for line in [*lines]]
    logged = [entry for entry in entries if entry.get("route") == "/health/live"]
    return len(logged) + sum(int(entry["lines"]) for entry in entries if entry["event"] == "log lines dropped")


@pytest.mark.parametrize("workers", [1, 2])
def test_every_log_line_is_read_or_counted(own_database_url: str, tmp_path: Path, workers: int) -> None:
    times = 6000 * workers  # the pipe and the buffers hold about half of their lines
    lines: list[str] = []
    with stalled(own_database_url, tmp_path, workers) as (served, output):
        assert ask(served, times) == times

        reader = threading.Thread(target=lambda: lines.extend(output))
        reader.start()

        wait_until(lambda: logged_or_dropped(lines) == times, "each line is read or counted")
        served.end()
        reader.join()
    assert "log lines dropped" in "".join(lines)


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_ends_the_service_despite_stalled_reader(own_database_url: str, tmp_path: Path, workers: int) -> None:
    with stalled(own_database_url, tmp_path, workers) as (served, _):
        assert ask(served, 1000) == 1000

        assert served.end() in {0, -signal.SIGTERM}
