"""The context of the current request, for log lines, metrics and spans."""

from contextvars import ContextVar
from uuid import UUID

import attrs


@attrs.define(eq=False)
class RequestContext:
    """The state of a request in progress."""

    request_id: str
    client: str | None = None
    """The client's IP address."""
    path: str = ""
    user: UUID | None = None
    """The authenticated user, once known."""
    queries: int = 0
    """The number of statements so far."""
    database_seconds: float = 0.0
    """How long they took."""
    waited_seconds: float = 0.0
    """How long they waited for a connection."""
    budget_used: float = 0.0
    """Seconds used of the time budget for the database, `DatabaseTimeouts.request`, including pauses and waits."""
    trace_id: str | None = None
    """OpenTelemetry's, if tracing is on."""


# Inherited by the tasks that a request starts; None outside a request.
current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)


def set_user(user: UUID) -> None:
    """Record the authenticated user of the current request, for the log, and so that caches store no response."""
    if context := current.get():
        context.user = user
