"""Several hosts in one DATABASE_URL: finds the primary among them, wherever it has moved."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import asyncpg

from service.timeouts import DatabaseTimeouts

# The hosts of a URL, each with its port, if it has one (RFC 3986, 3.2).
_SERVERS = re.compile(r"//(?:[^/?#@]*@)?(?P<servers>[^/?#@]*,[^/?#@]*)(?=[/?#]|$)")
_SERVER = re.compile(r"(?P<host>[^\[\]:]*|\[[^\]]*\])(?::(?P<port>\d+))?")
Address = tuple[str, int]
TARGET = "target_session_attrs"


def addresses(url: str) -> list[Address]:
    """Return the host and port of each server if `url` names several, else nothing."""
    found = _SERVERS.search(url)
    matches = [_SERVER.fullmatch(server) for server in found["servers"].split(",")] if found else []
    return [(unquote(match["host"].strip("[]")), int(match["port"] or 5432)) for match in matches if match]


_connect: Callable[..., Awaitable[asyncpg.Connection]] = asyncpg.connect


class MultiHostConnector:
    """Connects to the first host that will do. The next attempt begins with that one; a silent host comes last.

    asyncpg has one time limit for all hosts: a first host that is silent would use it up.
    """

    def __init__(self, url: str, timeouts: DatabaseTimeouts) -> None:
        self._url = url
        self._timeouts = timeouts
        self._addresses = addresses(url)
        # Unless the URL says otherwise, one that takes writes.
        self._wanted = {} if TARGET in url else {TARGET: "primary"}

    def demote(self, address: Address | None) -> None:
        """Try the silent host at `address` after all others."""
        if address in self._addresses:
            self._addresses.remove(address)
            self._addresses.append(address)

    async def connect(self, **options: Any) -> tuple[asyncpg.Connection, Address | None]:  # noqa: ANN401 - asyncpg's own
        """Return a connection made with asyncpg's `options`, and its address if there are several.

        Raises the error of the last host, or TimeoutError.
        """
        async with asyncio.timeout(self._timeouts.connect):
            if not self._addresses:
                return await _connect(self._url, **options), None
            refusal: Exception | None = None
            for address in list(self._addresses):
                host, port = address
                try:
                    async with asyncio.timeout(self._timeouts.connect_host):
                        connection = await _connect(self._url, host=host, port=port, **self._wanted, **options)
                except (OSError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
                    refusal = error
                    if isinstance(error, TimeoutError):
                        self.demote(address)
                else:
                    self._addresses.remove(address)
                    self._addresses.insert(0, address)
                    return connection, address
            assert refusal  # noqa: S101 - there are several
            raise refusal
