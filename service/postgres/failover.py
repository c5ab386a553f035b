"""Connects to the right one of several hosts in DATABASE_URL: the primary, unless the URL asks for another server."""

import asyncio
import random
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg

from service.database_url import Address, DatabaseUrl
from service.timeouts import DatabaseTimeouts

_connect: Callable[..., Awaitable[asyncpg.Connection]] = asyncpg.connect
# The name of the setting, not of `timezone_abbreviations`.
TIME_ZONE = re.compile(r"\btimezone\b", re.IGNORECASE)
# libpq's keywords, and the socket options that they set. No system has all of them.
_SOCKET_OPTIONS = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}


class MultiHostConnector:
    """Connects to the first suitable host, and begins with that one the next time. Silent hosts are tried last.

    asyncpg has one timeout for all hosts together, which a silent first host would use up.
    """

    def __init__(
        self,
        url: DatabaseUrl,
        timeouts: DatabaseTimeouts,
        default_target: str = "primary",
        **options: Any,  # noqa: ANN401 - asyncpg declares their types
    ) -> None:
        """Connect to `url` with asyncpg's `options`.

        If `url` names several hosts and no target_session_attrs, connect to a `default_target`.
        """
        self._addresses = list(url.addresses)
        if url.load_balances:
            random.shuffle(self._addresses)
        self._keepalive = url.keepalive
        hosts = len(self._addresses)
        several = hosts > 1
        self._timeout = max(timeouts.connect, hosts * url.connect_timeout)
        self._host_timeout = url.connect_timeout or (timeouts.connect_host if several else timeouts.connect)
        self._options = options | {
            # asyncpg accepts some of libpq's TLS keywords in a URL only.
            "dsn": f"postgresql://?{urlencode(url.tls, quote_via=quote)}",
            "user": url.user,
            "password": url.password,
            "database": url.database,
            "server_settings": _zone(url.settings) | url.settings | options.get("server_settings", {}),
            "target_session_attrs": url.target_session_attrs or (default_target if several else "any"),
        }

    def demote(self, address: Address) -> None:
        """Try the silent host at `address` last from now on."""
        self._addresses.remove(address)
        self._addresses.append(address)

    async def connect(self) -> tuple[asyncpg.Connection, Address]:
        """Return a connection and its address.

        Raises the error of the only host, ConnectionError with those of all hosts, or TimeoutError.
        """
        errors: dict[Address, Exception] = {}
        async with asyncio.timeout(self._timeout):
            for address in list(self._addresses):
                host, port = address
                try:
                    async with asyncio.timeout(self._host_timeout):
                        connection = await _connect(host=host, port=port, **self._options)
                except (OSError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
                    errors[address] = error
                    if isinstance(error, TimeoutError):
                        self.demote(address)
                else:
                    self._addresses.remove(address)
                    self._addresses.insert(0, address)
                    enable_keepalive(connection, self._keepalive)
                    return connection, address
        if len(errors) == 1:
            raise errors.popitem()[1]
        reasons = (f"{host}:{port}: {self._reason(error)}" for (host, port), error in errors.items())
        raise ConnectionError("; ".join(reasons))

    def _reason(self, error: Exception) -> str:
        if isinstance(error, asyncpg.TargetServerAttributeNotMatched):  # its text says "None of the hosts"
            return f"is no {self._options['target_session_attrs']} server"
        return str(error) or type(error).__name__


def _zone(settings: dict[str, str]) -> dict[str, str]:
    """Return the setting of the time zone, unless `settings` contain one.

    It decides how JSON shows a timestamptz, and when a day begins: that must not depend on the server. The offset of
    some zones had seconds in the past, which is no valid time in JSON (RFC 3339).
    """
    names = " ".join([*settings, settings.get("options", "")])
    return {} if TIME_ZONE.search(names) else {"TimeZone": "UTC"}


def enable_keepalive(connection: asyncpg.Connection, keepalive: dict[str, str]) -> None:
    """Have the operating system probe an idle connection, as libpq does, in case a firewall has dropped it."""
    connected: socket.socket = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # noqa: SLF001 - asyncpg has no public access to it
    if connected.family == socket.AF_UNIX:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(keepalive["keepalives"]))
    for keyword, name in _SOCKET_OPTIONS.items():
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), int(keepalive[keyword]))
