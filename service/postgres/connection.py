"""A connection that this process keeps, with the statements that are prepared on it."""

from time import monotonic
from typing import Any

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from service.database_url import Address
from service.postgres.queries import Query


class PooledConnection:
    """A connection to `address`, which is replaced at `expires_at` (monotonic seconds)."""

    __slots__ = ("address", "connection", "expires_at", "idle_until", "schema", "statements")

    def __init__(self, connection: asyncpg.Connection, expires_at: float, address: Address) -> None:
        self.connection = connection
        self.expires_at = expires_at
        self.address = address
        self.idle_until = expires_at
        """When it will have been idle for too long."""
        self.schema = 0
        """The pool's count of schema changes when `statements` were prepared."""
        self.statements: dict[Query[..., Any], PreparedStatement] = {}

    def is_expired(self) -> bool:
        """Return whether it is too old, or has been idle for too long."""
        return monotonic() >= min(self.idle_until, self.expires_at)
