"""The metrics port limits the number of clients and their time."""

import asyncio
import os
import resource
import select
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from service.telemetry.metrics_server import MAX_CLIENTS, serve_in_thread

SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\naccept: text/plain\r\n\r\n"


@pytest.fixture
def port() -> Iterator[int]:
    """Yield the port of a metrics server whose content repeats the header Accept."""
    listener = socket.create_server(("127.0.0.1", 0))
    with serve_in_thread(listener, lambda accept: (b"accept " + accept.encode(), "text/x-test"), timeout=0.5):
        yield listener.getsockname()[1]


async def scrape(port: int, request: bytes) -> bytes:
    """Send `request`, and return all bytes until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.transport.abort()


async def test_metrics_are_served_in_the_preferred_format(port: int) -> None:
    head, _, body = (await scrape(port, SCRAPE)).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/x-test\r\n")
    assert body == b"accept text/plain"


@pytest.mark.parametrize(
    ("request_", "line", "ending"),
    [
        (SCRAPE.replace(b"GET", b"HEAD"), b"HTTP/1.1 200 OK", b"\r\n\r\n"),
        (SCRAPE.replace(b"GET", b"POST"), b"HTTP/1.1 405 Method Not Allowed", b"\r\n\r\n"),
        (b"GET /" + b"a" * 100_000, b"", b""),
        (b"GET / HTTP/1.1\r\n", b"", b""),
    ],
    ids=["HEAD", "POST", "an endless head", "a silent client"],
)
async def test_other_requests_are_refused_or_closed(port: int, request_: bytes, line: bytes, ending: bytes) -> None:
    try:
        answer = await scrape(port, request_)
    except ConnectionError:
        answer = b""

    assert answer.startswith(line)
    assert answer.endswith(ending)


async def test_silent_clients_do_not_shut_out_a_scrape() -> None:
    """One thread and few descriptors serve them: a new client displaces the oldest."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=MAX_CLIENTS)
    port = listener.getsockname()[1]
    with serve_in_thread(listener, lambda _: (b"metrics", "text/plain"), timeout=60):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CLIENTS + 1)]
        assert await asyncio.wait_for(silent[0][0].read(), 10) == b""

        assert (await scrape(port, SCRAPE)).endswith(b"metrics")

        for _, writer in silent:
            writer.transport.abort()


@pytest.mark.slow
async def test_simultaneous_clients_are_limited() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=MAX_CLIENTS)
    with serve_in_thread(listener, lambda _: (b"metrics", "text/plain"), timeout=60):
        silent = [socket.create_connection(listener.getsockname()) for _ in range(3 * MAX_CLIENTS)]
        assert (await scrape(listener.getsockname()[1], SCRAPE)).endswith(b"metrics")

        await asyncio.sleep(0.3)
        closed, _, _ = select.select(silent, [], [], 0)

        assert len(silent) - len(closed) <= MAX_CLIENTS

        for client in silent:
            client.close()


@pytest.mark.slow
async def test_lack_of_descriptors_does_not_flood_the_log(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """Asyncio would log a traceback for each attempt to accept a client, many times a second."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    client = socket.socket()
    client.settimeout(0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, limits[1]))
    others = []
    try:
        with suppress(OSError):
            while True:
                others.append(os.dup(client.fileno()))
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
        await asyncio.sleep(0.3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for each in others:
            os.close(each)
        client.close()

    assert caplog.records == []
    assert (await scrape(port, SCRAPE)).endswith(b"accept text/plain")
