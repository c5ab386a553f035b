"""The Litestar application of the service, and the authenticated caller of a request."""

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from litestar import Litestar
from typing_extensions import override

from service.postgres import Database


class Caller(NamedTuple):
    """The login session that the access token identifies, and its user.

    These are the first two parameters of every authenticated query: ``db.one(SHOW_ME, *request.auth)``.
    """

    session: UUID
    user: UUID


class Application(Litestar):
    """A Litestar application with a database; set `db` and `authenticate` before the first request.

    `authenticate` returns the caller that an access token identifies, or raises InvalidToken. `draining` becomes true
    when the process starts to shut down.
    """

    db: Database
    authenticate: Callable[[str], Caller]
    draining = False

    @override
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle a request or the lifespan (ASGI). Wraps `send`, unlike Litestar, only for `before_send` hooks."""
        if scope["type"] == "lifespan" or self.before_send:
            await super().__call__(scope, receive, send)
            return
        scope["litestar_app"] = scope["app"] = self
        await self.asgi_handler(scope, receive, send)
