"""Serves the metrics on METRICS_PORT, in one thread and to a limited number of clients.

prometheus-client starts a thread per client, so silent clients could exhaust the file descriptors of the service.
"""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Concurrent clients; one more disconnects the oldest.
MAX_CLIENTS = 16
# Seconds for a client to send its request and to read the response.
CLIENT_TIMEOUT = 5.0
# Takes an Accept header; returns the metrics in the preferred format, and their media type.
Render = Callable[[str], tuple[bytes, str]]


@contextmanager
def serve_in_thread(listener: socket.socket, render: Render, timeout: float = CLIENT_TIMEOUT) -> Iterator[None]:
    """Serve the result of `render` at every path, on the bound socket `listener`, within the context."""
    runner = asyncio.Runner()
    loop, end = runner.get_loop(), asyncio.Event()
    clients: dict[asyncio.StreamWriter, None] = {}

    async def handle_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients[writer] = None
        if len(clients) > MAX_CLIENTS:
            oldest = next(iter(clients))
            del clients[oldest]  # at once: several clients can connect before its task ends
            oldest.transport.abort()
        try:
            async with asyncio.timeout(timeout):
                writer.write(_response(await reader.readuntil(b"\r\n\r\n"), render))
                writer.close()
                await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):  # TimeoutError is an OSError
            pass
        finally:
            writer.transport.abort()
            clients.pop(writer, None)

    async def serve() -> None:
        async with await asyncio.start_server(handle_client, sock=listener, backlog=MAX_CLIENTS):
            await end.wait()

    def run() -> None:
        with runner:
            runner.run(serve())

    loop.set_exception_handler(_report)
    listener.listen(MAX_CLIENTS)
    # The main thread handles signals.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    thread = threading.Thread(target=run, name="metrics", daemon=True)
    thread.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error, unless no file descriptor was free for a client: asyncio reports that 16 times a second."""
    if "socket" not in context:
        loop.default_exception_handler(context)


def _response(head: bytes, render: Render) -> bytes:
    method, *_ = head.split(b" ", 1)
    accept = ""
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "accept":
            accept = value.strip()
    if method not in {b"GET", b"HEAD"}:
        return b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    body, media_type = render(accept)
    fields = f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\n" + fields.encode() + (body if method == b"GET" else b"")
