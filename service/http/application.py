"""The application, and what each request finds on it."""

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from litestar import Litestar
from typing_extensions import override

from service.postgres import Database


class Caller(NamedTuple):
    """Who is calling: the login session that the access token names, and its user.

    They are the first two parameters of every authenticated query: ``db.one(SHOW_ME, *request.auth)``.
    """

    session: UUID
    user: UUID


class Application(Litestar):
    """A Litestar application with a database. Set what has no default before the first request.

    `authenticate` returns the caller that an access token names, or raises InvalidToken. `draining` is true once the
    process is about to end.
    """

    db: Database
    authenticate: Callable[[str], Caller]
    draining = False

    @override
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or run the lifespan (ASGI); Litestar would wrap `send`, even with no hook to call."""
        if scope["type"] == "lifespan" or self.before_send:
            await super().__call__(scope, receive, send)
            return
        scope["litestar_app"] = scope["app"] = self
        await self.asgi_handler(scope, receive, send)
