"""A request and its answer, while they last: what each line of the log may tell of them."""

from contextvars import ContextVar
from uuid import UUID


class Exchange:
    """A request that is being answered.

    `request_id` names it, `user` is who calls, as far as that is known yet. `queries` counts the statements so far;
    they took `database_seconds` in PostgreSQL, after `waited_seconds` for a free connection. The first sets when, by
    perf_counter, all have to end: `until`. `trace_id` is that of OpenTelemetry, where it is on.
    """

    __slots__ = ("database_seconds", "queries", "request_id", "trace_id", "until", "user", "waited_seconds")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.user: UUID | None = None
        self.queries = 0
        self.database_seconds = 0.0
        self.waited_seconds = 0.0
        self.until = 0.0
        self.trace_id: str | None = None


# Of this task and those that it starts; none where no request is being answered.
current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


def caller_is(user: UUID) -> None:
    """Note who calls, for the log."""
    if exchange := current.get():
        exchange.user = user
