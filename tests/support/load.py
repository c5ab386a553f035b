"""A process that generates load, and whose clients record every response.

It reads its task from the first line of standard input, reports when it begins, runs until standard input is closed,
and writes what the clients saw to the given file, all as JSON. A client creates objects, each with its own text and
Idempotency-Key, and repeats the request with the same key until the response is 201, which is the contract. Between
two writes it reads.
"""

import asyncio
import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import attrs
import uvloop

# Pseudo-statuses: connection refused, connection lost before the response, no response.
REFUSED, DROPPED, HUNG = 0, -1, -2
PATIENCE = 12.0  # seconds
PAUSE = 0.02  # seconds before a request is repeated


@attrs.frozen
class Target:
    """The requests: the paths that create and list, and the name of the text field."""

    create: str
    list: str
    field: str


@attrs.define
class Seen:
    """What the clients saw: each request (kind, status, time, seconds, Retry-After), and each acknowledged write."""

    requests: list[tuple[str, int, float, float, str]] = attrs.Factory(list)
    # The id in each 201 by the text sent, and the texts without a 201.
    acknowledged: dict[str, int] = attrs.Factory(dict)
    unclear: list[str] = attrs.Factory(list)


class Client:
    """One connection, one request at a time."""

    def __init__(self, name: str, port: int, target: Target, token: str, seen: Seen) -> None:
        self._name = name
        self._port = port
        self._target = target
        self._head = f"Host: localhost\r\nAuthorization: Bearer {token}\r\n"
        self._seen = seen
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, reads: int, pause: float, over: asyncio.Event) -> None:
        """Repeat until the end: write, read `reads` times, pause for `pause` seconds."""
        number = 0
        while not over.is_set():
            number += 1
            await self._write(f"{self._name}-{number}", over)
            for _ in range(reads):
                status, _ = await self._ask("read", f"GET {self._target.list}?limit=5")
                await self._rest(status)
            await asyncio.sleep(pause)
        if self._stream:
            self._stream[1].close()

    async def _write(self, text: str, over: asyncio.Event) -> None:
        while True:
            sent = json.dumps({self._target.field: text})
            status, body = await self._ask("write", f"POST {self._target.create}", sent, key=text)
            if status == 201:
                self._seen.acknowledged[text] = json.loads(body)["id"]
                return
            if over.is_set():
                self._seen.unclear.append(text)
                return
            await self._rest(status)

    async def _rest(self, status: int) -> None:
        if status not in {200, 201}:
            await asyncio.sleep(PAUSE)

    async def _ask(self, kind: str, request: str, body: str = "", key: str = "") -> tuple[int, bytes]:
        head = f"{request} HTTP/1.1\r\n{self._head}"
        if body:
            head += f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        began = time.monotonic()
        retry_after, response = "", b""
        try:
            async with asyncio.timeout(PATIENCE):
                status, retry_after, response = await self._exchange(f"{head}\r\n{body}".encode())
        except ConnectionRefusedError:
            status = REFUSED
        except TimeoutError:
            status = HUNG
        except (OSError, asyncio.IncompleteReadError):
            status = DROPPED
        if status <= 0 and self._stream:
            self._stream[1].close()
            self._stream = None
        self._seen.requests.append((kind, status, began, time.monotonic() - began, retry_after))
        return status, response

    async def _exchange(self, request: bytes) -> tuple[int, str, bytes]:
        if self._stream and self._stream[0].at_eof():  # closed while idle
            self._stream[1].close()
            self._stream = None
        if self._stream is None:
            self._stream = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._stream
        writer.write(request)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        if fields.get("connection") == "close":
            writer.close()
            self._stream = None
        return int(lines[0].split()[1]), fields.get("retry-after", ""), body


async def load(
    name: str, port: int, target: dict[str, str], tokens: list[str], clients: int, reads: int, pause: float, output: str
) -> None:
    """Keep `clients` busy, sharing the accounts of `tokens`, until standard input is closed."""
    seen, over = Seen(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, sys.stdin.readline).add_done_callback(lambda _: over.set())
    each = [
        Client(f"{name}-{number}", port, Target(**target), tokens[number % len(tokens)], seen)
        for number in range(clients)
    ]
    sys.stdout.write("begins\n")
    sys.stdout.flush()
    await asyncio.gather(*(client.run(reads, pause, over) for client in each))
    Path(output).write_text(json.dumps(attrs.asdict(seen)))  # noqa: ASYNC240 - the load has ended


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        uvloop.run(load(**json.loads(sys.stdin.readline())))
