"""Logged-in users, created by the service's own statements."""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg
import attrs
import httpx

from service.app import Service
from service.auth.controllers import OPEN_SESSION
from service.auth.emails import email_key
from service.auth.models import Session, TokenPair
from service.auth.passwords import HASHER
from service.http import Application
from service.users.controllers import REGISTER_USER
from tests.support.accounts import PASSWORD, bearer, new_email


@cache
def hash_once(password: str) -> str:
    """Hash `password`, once per run: it takes 20 ms."""
    return HASHER.hash(password)


@attrs.frozen
class LoggedIn:
    """A user and the session of their log-in."""

    id: UUID
    email: str
    password: str
    session: UUID
    tokens: TokenPair

    @property
    def bearer(self) -> dict[str, str]:
        """Return the header that authenticates a request."""
        return bearer(self.tokens.access_token)


class Factory:
    """Creates rows with the service's own statements, on the connection of a test."""

    def __init__(self, app: Service, connection: Any) -> None:  # noqa: ANN401 - asyncpg's stubs allow None for each row
        self._tokens = app.tokens
        self.connection = connection

    async def user(self, email: str = "", password: str = PASSWORD) -> LoggedIn:
        """Create a logged-in user."""
        email = email or new_email()
        row = await self.connection.fetchrow(REGISTER_USER.sql, email, email_key(email), hash_once(password))
        return await self.session(row["id"], email, password)

    async def rows(self, statement: str, user: LoggedIn) -> dict[str, Any]:
        """Run a statement in which $1 is the id of `user`; return the row that it returns, by column."""
        caller = [user.id] if "$1" in statement else []
        row = await self.connection.fetchrow(statement, *caller) if statement else None
        return dict(row or {})

    async def session(self, user: UUID, email: str, password: str = PASSWORD) -> LoggedIn:
        """Log a user in once more."""
        client = "tests", "127.0.0.1", None
        row = await self.connection.fetchrow(OPEN_SESSION.sql, user, hash_once(password), timedelta(days=28), *client)
        session = Session(*row)
        return LoggedIn(user, email, password, session.id, self._tokens.issue(session))


@attrs.frozen
class Committed:
    """The service on its own database, where each request commits, on its own connection."""

    client: httpx.AsyncClient
    make: Factory
    # Separate from the service's connections, to observe and to hold locks.
    connection: asyncpg.Connection


async def log_in(client: httpx.AsyncClient, email: str, password: str = PASSWORD) -> httpx.Response:
    """Log in with a form, like every OAuth 2 client."""
    return await client.post("/auth/access-token", data={"username": email, "password": password})


def service_client(app: Application) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    """Return a client that speaks ASGI to `app`."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")
