"""A TCP proxy on loopback that swallows traffic, switches its target, or drops connections."""

import asyncio
import threading
from contextlib import suppress
from typing import Self

from tests.support.processes import free_port


class Proxy:
    """Relays connections to the port `target`; each fault is a method."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._passes = asyncio.Event()
        self._passes.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._accept, "127.0.0.1", self.port), self._loop
        ).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def swallow(self) -> None:
        """Swallow all bytes: connections stay open, and new ones are accepted."""
        self._loop.call_soon_threadsafe(self._passes.clear)

    def heal(self) -> None:
        """Forward the swallowed bytes and all later ones."""
        self._loop.call_soon_threadsafe(self._passes.set)

    def move(self, target: int) -> None:
        """Send new connections to another port; open ones keep their target."""
        self._loop.call_soon_threadsafe(setattr, self, "_target", target)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            ways = [self._relay(reader, back), self._relay(there, writer)]
            tasks = [asyncio.ensure_future(way) for way in ways]
            self._tasks.update(tasks)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            self._tasks.difference_update(tasks)
            back.close()
        writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._passes.wait()
                writer.write(data)
                await writer.drain()
