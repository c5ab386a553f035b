"""Several hosts in one DATABASE_URL: finds the primary among them, wherever it has moved."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg

from service.database_url import Address, DatabaseUrl
from service.timeouts import DatabaseTimeouts

_connect: Callable[..., Awaitable[asyncpg.Connection]] = asyncpg.connect
# libpq's keyword, and the socket option that it sets: not all systems have each.
_SOCKET_OPTIONS = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}


class MultiHostConnector:
    """Connects to the first host that will do. The next attempt begins with that one; a silent host comes last.

    asyncpg has one time limit for all hosts: a first host that is silent would use it up.
    """

    def __init__(self, url: DatabaseUrl, timeouts: DatabaseTimeouts, **options: Any) -> None:  # noqa: ANN401 - asyncpg's own
        """Connect to `url` with asyncpg's `options`; of several hosts to a primary, unless `url` says otherwise."""
        self._addresses = list(url.addresses)
        if url.load_balances:
            random.shuffle(self._addresses)
        self._keepalive = url.keepalive
        hosts = len(self._addresses)
        several = hosts > 1
        self._seconds = max(timeouts.connect, hosts * (url.connect_timeout or 0))
        self._seconds_for_host = url.connect_timeout or (timeouts.connect_host if several else timeouts.connect)
        self._options = options | {
            # asyncpg reads the keywords for TLS from a URL alone.
            "dsn": f"postgresql://?{urlencode(url.tls, quote_via=quote)}",
            "user": url.user,
            "password": url.password,
            "database": url.database,
            "server_settings": url.settings | options.get("server_settings", {}),
            "target_session_attrs": url.target_session_attrs or ("primary" if several else "any"),
        }

    def demote(self, address: Address) -> None:
        """Try the silent host at `address` after all others."""
        self._addresses.remove(address)
        self._addresses.append(address)

    async def connect(self) -> tuple[asyncpg.Connection, Address]:
        """Return a connection and its address. Raises the error of the last host, or TimeoutError."""
        refusal: Exception | None = None
        async with asyncio.timeout(self._seconds):
            for address in list(self._addresses):
                host, port = address
                try:
                    async with asyncio.timeout(self._seconds_for_host):
                        connection = await _connect(host=host, port=port, **self._options)
                except (OSError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
                    refusal = error
                    if isinstance(error, TimeoutError):
                        self.demote(address)
                else:
                    self._addresses.remove(address)
                    self._addresses.insert(0, address)
                    keep_alive(connection, self._keepalive)
                    return connection, address
        assert refusal  # noqa: S101 - there is a host
        raise refusal


def keep_alive(connection: asyncpg.Connection, keepalive: dict[str, str]) -> None:
    """Have the system probe an idle connection, as libpq does: a firewall may have forgotten it."""
    connected: socket.socket = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
    if connected.family == socket.AF_UNIX:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(keepalive["keepalives"]))
    for keyword, name in _SOCKET_OPTIONS.items():
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), int(keepalive[keyword]))
