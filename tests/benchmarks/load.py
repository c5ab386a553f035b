"""A process that generates load: it keeps connections open, each with one request at a time.

It reads its task from standard input and writes the results to standard output, both as JSON. Each connection cycles
through its own list of requests; a request is the bytes to send, and the name of its operation.
"""

import asyncio
import json
import math
import re
import sys
import time
from collections import defaultdict
from itertools import cycle
from typing import cast

import uvloop
from typing_extensions import override

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """Sends a request, waits for the whole response, records the time it took, and sends the next."""

    def __init__(self, requests: list[tuple[str, str]], seconds: dict[str, list[float]]) -> None:
        self._requests = cycle([(name, text.encode()) for name, text in requests])
        self._seconds = seconds
        self._received = b""
        self.end = 0.0

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport is no subclass
        self.finished = asyncio.get_running_loop().create_future()

    def send(self) -> None:
        """Send the next request."""
        self._name, request = next(self._requests)
        self._sent = time.perf_counter()
        self._transport.write(request)

    @override
    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data
        head = received.find(b"\r\n\r\n")
        if head < 0:
            return
        length = LENGTH.search(received, 0, head)
        if length and len(received) < head + 4 + int(length[1]):
            return
        now = time.perf_counter()
        if length is None or received[9:10] != b"2":
            self.connection_lost(ValueError(f"{self._name} was answered with {received[:500].decode()}"))
            return
        self._seconds[self._name].append(now - self._sent)
        self._received = b""
        if now < self.end:
            self.send()
        else:
            self.finished.set_result(now)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_exception(error or ConnectionError("the server closed a connection"))


async def load(port: int, seconds: float, requests: list[list[tuple[str, str]]]) -> dict[str, object]:
    """Keep a connection to `port` busy with each list of `requests`; return the measurements."""
    loop = asyncio.get_running_loop()
    took: dict[str, list[float]] = defaultdict(list)
    connections = []
    for each in requests:
        _, connection = await loop.create_connection(lambda each=each: Connection(each, took), "127.0.0.1", port)  # type: ignore[misc]
        connections.append(connection)
    began = time.perf_counter()
    for connection in connections:
        connection.end = began + seconds
        connection.send()
    ended = max(await asyncio.gather(*(connection.finished for connection in connections)))
    return {
        "requests": sum(map(len, took.values())),
        "seconds": ended - began,
        "latency": {name: [quantile(sorted(each), q) for q in (0.5, 0.99, 0.999)] for name, each in took.items()},
    }


def quantile(ordered: list[float], q: float) -> float:
    """Return the smallest element of `ordered` that at least the share `q` of them does not exceed."""
    return ordered[math.ceil(q * len(ordered)) - 1]


if __name__ == "__main__":
    json.dump(uvloop.run(load(**json.load(sys.stdin))), sys.stdout)
