"""The load: a process of its own whose clients note every answer.

Reads what to do from the first line of standard input, says when it begins, runs until standard input is closed, and
writes what it saw to the file that it was told, all JSON. A client creates things, each with a text and
an Idempotency-Key of its own, and repeats the request with the same key until the response is 201: that is what it can
rely on. Between two writes it reads.
"""

import asyncio
import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import attrs
import uvloop

# What stands for a status where there was none: nobody listened; the connection ended before the answer; no answer.
REFUSED, DROPPED, HUNG = 0, -1, -2
PATIENCE = 12.0  # seconds
PAUSE = 0.02  # seconds before the same is asked again


@attrs.frozen
class Target:
    """What is asked for: the paths that create and list, and the field of the text."""

    create: str
    list: str
    field: str


@attrs.define
class Seen:
    """What the clients saw: each request (kind, status, when it was sent, seconds, Retry-After), and each promise."""

    requests: list[tuple[str, int, float, float, str]] = attrs.Factory(list)
    # The id in the 201 by the text that was sent; and the texts without a 201.
    acknowledged: dict[str, int] = attrs.Factory(dict)
    unclear: list[str] = attrs.Factory(list)


class Client:
    """One connection at a time, one request at a time."""

    def __init__(self, name: str, port: int, target: Target, token: str, seen: Seen) -> None:
        self._name = name
        self._port = port
        self._target = target
        self._head = f"Host: localhost\r\nAuthorization: Bearer {token}\r\n"
        self._seen = seen
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, reads: int, pause: float, over: asyncio.Event) -> None:
        """Write, read `reads` times and rest for `pause` seconds, again and again until it is over."""
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
        if self._stream and self._stream[0].at_eof():  # closed while it was idle
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
    """Keep `clients` busy, who share the accounts of `tokens`, until standard input is closed."""
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
    Path(output).write_text(json.dumps(attrs.asdict(seen)))  # noqa: ASYNC240 - it is over


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        uvloop.run(load(**json.loads(sys.stdin.readline())))
