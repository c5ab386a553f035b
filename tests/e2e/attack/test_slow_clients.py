"""Hundreds of clients that never finish a request are each disconnected within 30 s, without delaying others."""

import resource
import selectors
import socket
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.figures import Report
from tests.support.processes import Running
from tests.support.raw_http import DOWNLOAD

HEAD = b"POST /auth/logout HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
# How each kind begins, and what it adds every second.
KINDS = {
    "a header": (b"GET / HTTP/1.1\r\n", b"X-A: b\r\n"),
    "a byte of body": (HEAD + b"Content-Length: 60000\r\n\r\n", b"x"),
    "a chunk's extension": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
}
OF_EACH = 300
CLIENTS = OF_EACH * len(KINDS)


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Allow this process enough connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_900_slow_clients_are_cut_off_without_delaying_others(two_workers: Running, report: Report) -> None:
    """Three kinds at once."""
    began = time.monotonic()
    selector = selectors.DefaultSelector()
    for begin, drip in [*KINDS.values()] * OF_EACH:
        slow = socket.create_connection(("127.0.0.1", two_workers.port))
        slow.sendall(begin)
        selector.register(slow, selectors.EVENT_READ, drip)
    responses: Counter[bytes] = Counter()
    waits: list[float] = []
    while selector.get_map() and time.monotonic() - began < 40:
        for _ in range(10):
            asked = time.perf_counter()
            assert two_workers.client.get("/health/live").status_code == 200
            waits.append(time.perf_counter() - asked)
        for key, _ in selector.select(timeout=1):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            responses[client.recv(65536)[:12]] += 1
            selector.unregister(client)
            client.close()
        for key in list(selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            with suppress(OSError):  # closed meanwhile, which the next round notices
                key.fileobj.send(key.data)
    seconds = time.monotonic() - began
    p95 = statistics.quantiles(waits, n=20)[18] * 1000

    report(f"{CLIENTS} slow clients: gone after {seconds:.0f} s, {dict(responses)}; others waited {p95:.1f} ms (p95)")
    assert not selector.get_map()
    assert seconds < 30
    assert responses[b"HTTP/1.1 408"] == CLIENTS
    assert p95 < 250


def test_50_mb_of_headers_are_refused_at_once(two_workers: Running, report: Report) -> None:
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", two_workers.port), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        with suppress(OSError):  # the service has closed the connection
            for _ in range(800):
                client.sendall(b"a" * 65536)
        seconds = time.perf_counter() - began
    status = two_workers.client.get("/health/live").status_code

    report(f"50 MB of headers: refused after {seconds * 1000:.0f} ms")
    assert seconds < 5
    assert status == 200


def test_900_unread_responses_cost_no_copies(two_workers: Running, report: Report) -> None:
    """Each requests a file of 1.7 MB."""
    before = memory(two_workers)
    clients = []
    for _ in range(CLIENTS):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", two_workers.port))
        client.sendall(DOWNLOAD)
        clients.append(client)
    grown = 0.0
    for _ in range(50):
        time.sleep(0.1)
        grown = max(grown, memory(two_workers) - before)
        assert two_workers.client.get("/health/live").status_code == 200
    for client in clients:
        client.close()

    report(f"{CLIENTS} clients that do not read a file of 1.7 MB: {grown:.0f} MB more memory of two workers")
    assert grown < 64


def memory(served: Running) -> float:
    """Return the memory of all processes of the service, in MB."""
    return float(sum(process.memory_full_info().uss for process in served.process_tree())) / 1e6
