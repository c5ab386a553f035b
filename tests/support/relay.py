"""A relay in front of PostgreSQL that counts round trips.

It counts the messages that make the client wait for a response (PostgreSQL's manual, 54.7, Message Formats): Sync,
Query, Flush and FunctionCall.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from service.embedded import EmbeddedPostgres


@attrs.define
class Relay:
    """Forwards the traffic between PostgreSQL and its only client, and counts the round trips."""

    server: EmbeddedPostgres
    trips: int = 0
    delay: float = 0.0
    """Seconds that each answer takes longer."""
    cut_at: bytes | None = None
    """Cut the connection, once, at the message that contains this."""
    cut_late: bool = False
    """Whether the server gets that message, and the client does not get the answer."""

    _passing: set[asyncio.Task[None]] = attrs.field(factory=set)

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[int]:
        """Listen on loopback until the end of the context; yield the port."""
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        async with listener:
            yield listener.sockets[0].getsockname()[1]
            listener.close()
            for _ in range(10):  # turns of the event loop, until connections that were just accepted reach _accept()
                await asyncio.sleep(0)
            for passing in self._passing:
                passing.cancel()
            if self._passing:
                await asyncio.wait(self._passing)

    def _accept(self, client: StreamReader, to_client: StreamWriter) -> None:
        passing = asyncio.create_task(self._pass(client, to_client))
        self._passing.add(passing)
        passing.add_done_callback(self._passing.discard)
        passing.add_done_callback(lambda _: to_client.close())  # also if it was cancelled before its first step

    async def _pass(self, client: StreamReader, to_client: StreamWriter) -> None:
        socket = self.server.socket_directory / f".s.PGSQL.{self.server.port}"
        postgres, to_postgres = await asyncio.open_unix_connection(socket)
        answers = asyncio.create_task(self._answers(postgres, to_client))
        try:
            await self._questions(client, to_postgres)
            if self.cut_at:  # both directions at once, like a firewall that resets
                self.cut_at = None
                answers.cancel()
                await asyncio.wait([answers])
                if self.cut_late:
                    await postgres.read(1)
                to_client.transport.abort()
            else:
                to_postgres.close()
                await answers
        finally:
            answers.cancel()
            to_postgres.close()

    async def _questions(self, client: StreamReader, to_postgres: StreamWriter) -> None:
        """Forward the client's messages until it ends or the connection is to be cut."""
        kind = b""  # the first message has no type
        while True:
            length = await client.readexactly(4)
            message = kind + length + await client.readexactly(int.from_bytes(length) - 4)
            self.trips += kind in {b"S", b"Q", b"H", b"F"}
            cut = self.cut_at is not None and self.cut_at in message
            if not cut or self.cut_late:
                to_postgres.write(message)
            if cut:
                return
            if not (kind := await client.read(1)):
                self.cut_at = None
                return

    async def _answers(self, postgres: StreamReader, to_client: StreamWriter) -> None:
        while data := await postgres.read(65536):
            await asyncio.sleep(self.delay)
            to_client.write(data)
        to_client.close()
