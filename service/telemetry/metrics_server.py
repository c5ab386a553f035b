"""Serves the metrics on a port of their own, from one thread, to few clients at once.

A thread for each client, as prometheus-client has it, would let silent ones take the file descriptors of the service.
"""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Clients that are served at once: one more, and the oldest is disconnected.
MAX_CLIENTS = 16
# Seconds for a client to send its request and read the response.
TIME_LIMIT = 5.0
# Returns the metrics, and their media type, in the format that a header Accept prefers.
Render = Callable[[str], tuple[bytes, str]]


@contextmanager
def serving(listener: socket.socket, render: Render, time_limit: float = TIME_LIMIT) -> Iterator[None]:
    """Serve what `render` returns on the bound socket `listener`, whatever the path, within the context."""
    runner = asyncio.Runner()
    loop, end = runner.get_loop(), asyncio.Event()
    clients: dict[asyncio.StreamWriter, None] = {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients[writer] = None
        if len(clients) > MAX_CLIENTS:
            next(iter(clients)).transport.abort()
        try:
            async with asyncio.timeout(time_limit):
                writer.write(_response(await reader.readuntil(b"\r\n\r\n"), render))
                writer.close()
                await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):  # TimeoutError is an OSError
            pass
        finally:
            writer.transport.abort()
            del clients[writer]

    async def serve() -> None:
        async with await asyncio.start_server(answer, sock=listener, backlog=MAX_CLIENTS):
            await end.wait()

    def run() -> None:
        with runner:
            runner.run(serve())

    listener.listen(MAX_CLIENTS)
    # Signals are for the main thread, which may wait for them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    thread = threading.Thread(target=run, name="metrics", daemon=True)
    thread.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()


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
