"""The context of the current request: what log lines, metrics and spans say about it."""

from contextvars import ContextVar
from uuid import UUID


class RequestContext:
    """What is known about a request while it is being served.

    `client` is the client's IP address, `path` the request's path, `user` the authenticated user, once known.
    `queries` counts the statements run so far; they took `database_seconds` in PostgreSQL, after `waited_seconds`
    waiting for a connection. `database_used` is how much the request has used of its time for the database, in
    seconds, pauses between attempts included. `trace_id` is OpenTelemetry's, if tracing is on.
    """

    __slots__ = (
        "client",
        "database_seconds",
        "database_used",
        "path",
        "queries",
        "request_id",
        "trace_id",
        "user",
        "waited_seconds",
    )

    def __init__(self, request_id: str, client: str | None = None, path: str = "") -> None:
        self.request_id = request_id
        self.client = client
        self.path = path
        self.user: UUID | None = None
        self.queries = 0
        self.database_seconds = 0.0
        self.waited_seconds = 0.0
        self.database_used = 0.0
        self.trace_id: str | None = None


# Of this task and the tasks it starts; None outside of a request.
current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)


def set_user(user: UUID) -> None:
    """Record the authenticated user, for the log."""
    if context := current.get():
        context.user = user
