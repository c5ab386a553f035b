"""A connection that this process keeps, with the statements that are prepared on it."""

from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.prepared_stmt import PreparedStatement

from service.postgres.failover import Place
from service.postgres.queries import Query


class Lease:
    """A connection of asyncpg's pool, and what is prepared on it."""

    __slots__ = ("connection", "old_at", "place", "statements")

    def __init__(self, connection: PoolConnectionProxy, old_at: float, place: Place | None) -> None:
        """Keep `connection`, which leads to `place`, until `old_at`, in seconds of the event loop's clock."""
        self.connection = connection
        self.old_at = old_at
        self.place = place
        self.statements: dict[Query[..., Any], PreparedStatement] = {}

    @property
    def closed(self) -> bool:
        """Whether the connection ended while nobody used it."""
        try:
            return self.connection.is_closed()
        except asyncpg.InterfaceError:  # asyncpg has cleared it away already
            return True
