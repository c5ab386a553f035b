"""Several hosts in one DATABASE_URL: the primary is found among them, wherever it has moved."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import asyncpg

from service.timeouts import HOST

# The hosts of a URL, each with its port, if it has one (RFC 3986, 3.2).
_SERVERS = re.compile(r"//(?:[^/?#@]*@)?(?P<servers>[^/?#@]*,[^/?#@]*)(?=[/?#]|$)")
_SERVER = re.compile(r"(?P<host>[^\[\]:]*|\[[^\]]*\])(?::(?P<port>\d+))?")
Place = tuple[str, int]
TARGET = "target_session_attrs"


def several(url: str) -> list[Place]:
    """Return the host and port of each server where `url` names several, else nothing."""
    found = _SERVERS.search(url)
    matches = [_SERVER.fullmatch(server) for server in found["servers"].split(",")] if found else []
    return [(unquote(match["host"].strip("[]")), int(match["port"] or 5432)) for match in matches if match]


_connect: Callable[..., Awaitable[asyncpg.Connection]] = asyncpg.connect


class Hosts:
    """Connects to the first host that will do; that one is asked first the next time, and one that kept silent last.

    asyncpg itself has one time limit for all of them: a first host that keeps silent would take all of it.
    """

    def __init__(self, url: str) -> None:
        self._places = several(url)
        self.last: Place | None = None  # where the newest connection leads
        # Unless the URL says which it wants, one that takes writes: any other is of no use.
        self._wanted = {} if TARGET in url else {TARGET: "primary"}

    def doubt(self, place: Place | None) -> None:
        """Ask a host that keeps silent after all others: there may be no time for more than one such."""
        if place in self._places:
            self._places.remove(place)
            self._places.append(place)

    async def connect(self, url: str, **options: Any) -> asyncpg.Connection:  # noqa: ANN401 - asyncpg's own
        """Return a connection, as ``asyncpg.connect`` does; raises what the last host said."""
        if not self._places:
            return await _connect(url, **options)
        refusal: Exception | None = None
        for place in list(self._places):
            host, port = place
            try:
                async with asyncio.timeout(HOST):
                    connection = await _connect(url, host=host, port=port, **self._wanted, **options)
            except (OSError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
                refusal = error
                if isinstance(error, TimeoutError):
                    self.doubt(place)
            else:
                self._places.remove(place)
                self._places.insert(0, place)
                self.last = place
                return connection
        assert refusal  # noqa: S101 - there are several
        raise refusal
