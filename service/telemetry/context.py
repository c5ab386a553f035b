"""The context of the current request, for log lines, metrics and spans."""

from contextvars import ContextVar
from uuid import UUID


class RequestContext:
    """The state of a request in progress.

    `client` is the client's IP address; `user` is the authenticated user, once known. `queries` counts the statements
    so far; they took `database_seconds`, and waited `waited_seconds` for a connection. `database_used` is the part of
    the request's time budget for the database that is used up, in seconds, including pauses between attempts.
    `trace_id` is OpenTelemetry's, if tracing is on.
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


# Inherited by the tasks that a request starts; None outside a request.
current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)


def set_user(user: UUID) -> None:
    """Record the authenticated user of the current request, for the log."""
    if context := current.get():
        context.user = user
