"""A relay in front of PostgreSQL, which counts round trips.

It counts the messages after which the client waits for an answer (PostgreSQL's manual, 54.7, Message Formats): Sync,
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
    """Passes on what PostgreSQL and its one client say, and counts the round trips."""

    server: EmbeddedPostgres
    trips: int = 0
    delay: float = 0.0
    """Seconds that each answer takes longer."""

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[int]:
        """Listen on the loopback until the end of the context; give the port."""
        listener = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        async with listener:
            yield listener.sockets[0].getsockname()[1]

    async def _pass(self, client: StreamReader, to_client: StreamWriter) -> None:
        socket = self.server.socket_directory / f".s.PGSQL.{self.server.port}"
        postgres, to_postgres = await asyncio.open_unix_connection(socket)
        responses = asyncio.create_task(self._answers(postgres, to_client))
        kind = b""  # the first message has none
        while True:
            length = await client.readexactly(4)
            to_postgres.write(kind + length + await client.readexactly(int.from_bytes(length) - 4))
            self.trips += kind in {b"S", b"Q", b"H", b"F"}
            if not (kind := await client.read(1)):
                break
        to_postgres.close()
        await responses

    async def _answers(self, postgres: StreamReader, to_client: StreamWriter) -> None:
        while data := await postgres.read(65536):
            await asyncio.sleep(self.delay)
            to_client.write(data)
        to_client.close()
