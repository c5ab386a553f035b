"""Classifies errors of asyncpg and PostgreSQL: whether a statement can run again, and a connection be used again."""

import re
from typing import Any, NoReturn

import asyncpg

from service.postgres.queries import Query
from service.problems import Unavailable

NO_ANSWER = "The database does not answer"
TOO_MANY_CHANGES = "Too many concurrent changes to the same rows"
# asyncpg's message about an argument of the wrong type.
ARGUMENT = re.compile(r"invalid input for query argument \$(\d+)")
# PostgreSQL refuses the statement for now, and the connection stays usable: a timeout, a lock, disk or memory full.
TRANSIENT = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, asyncpg.InsufficientResourcesError)
# PostgreSQL cannot be used: it is unreachable, starting, stopping, out of connections or no longer the primary. asyncpg
# raises InternalClientError if the server's last message arrived just before the query.
UNAVAILABLE = (
    OSError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    *TRANSIENT,
)
# The statement lost to a concurrent transaction and was rolled back: even a write can run again.
RETRYABLE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
# The connection ended while the statement was under way. asyncpg replaces an OSError with a PostgresConnectionError.
_LOST = (
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleSessionTimeoutError,
)


class NotSentError(Exception):
    """The connection was lost before the statement was sent."""


def is_stale(error: BaseException) -> bool:
    """Return whether the schema has changed since the statement was prepared: it can run if prepared again."""
    return isinstance(error, asyncpg.InvalidCachedStatementError) or is_dropped_type(error)


def is_dropped_type(error: BaseException) -> bool:
    """Return whether a type that the session has cached was dropped, and perhaps created again, as happens to enums.

    PostgreSQL raises this with elog(): it has no SQLSTATE of its own, and its text is never translated.
    """
    return isinstance(error, asyncpg.InternalServerError) and "cache lookup failed for type" in str(error)


def has_unknown_outcome(error: BaseException) -> bool:
    """Return whether the statement may have taken effect: its result was lost, or could not be decoded."""
    return isinstance(error, _LOST)


def leaves_connection_usable(error: BaseException) -> bool:
    """Return whether the connection can be used again after `error`."""
    if isinstance(error, (*TRANSIENT, asyncpg.OutdatedSchemaCacheError)):
        return True
    if is_dropped_type(error):  # PL/pgSQL keeps the types of variables until the session ends
        return False
    return isinstance(error, asyncpg.PostgresError) and not isinstance(error, UNAVAILABLE)


def reraise(error: BaseException) -> NoReturn:
    """Raise Unavailable if the request can succeed later, otherwise `error` itself."""
    if isinstance(error, RETRYABLE):
        raise Unavailable(TOO_MANY_CHANGES) from error
    if isinstance(error, (*UNAVAILABLE, NotSentError)) or is_stale(error):
        raise Unavailable(NO_ANSWER) from error
    raise error


def add_query(error: BaseException, query: Query[..., Any]) -> None:
    """Add a note to `error`, for its traceback: the query that raised it, and the wrong parameter, if any."""
    note = f"query {query.name}"
    if wrong := ARGUMENT.match(str(error)):
        for parameter in query.statement.parameters[int(wrong[1]) - 1 :][:1]:
            note += f", parameter ${wrong[1]} {parameter.name} {parameter.type}"
    error.add_note(note)


def describe(error: BaseException) -> str:
    """Return PostgreSQL's reason if the statement was cancelled, such as a lock timeout; otherwise the type of `error`.

    The messages of other errors can quote what a client sent.
    """
    is_harmless = isinstance(error, (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError))
    return str(error.args[0]) if is_harmless else type(error).__name__
