"""What an error means for the statement and for its connection."""

import asyncpg

# PostgreSQL refuses for now, and the connection is as good as before: a timeout, a lock, disk or memory full.
TRANSIENT = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, asyncpg.InsufficientResourcesError)
# PostgreSQL is absent: no route, a closed connection, a server that starts, stops, has no room, or is no longer the
# primary. asyncpg raises InternalClientError if the server's farewell arrived just before the query.
UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    *TRANSIENT,
)
# The statement lost to another one and has not happened: even a write may run again.
RETRYABLE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
# The schema changed under a prepared statement. It has not happened: prepared anew, it runs.
STALE_STATEMENT = (asyncpg.InvalidCachedStatementError,)
# The connection ended while the statement was on its way.
_LOST = (
    OSError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleSessionTimeoutError,
)


class NotSentError(Exception):
    """The connection was lost before the statement was sent."""


def is_stale(error: BaseException) -> bool:
    """Whether the statement has to be prepared anew, because the schema has changed."""
    # A type that was dropped and created again, as enums are: elog() has no SQLSTATE of its own for it, and no
    # translation.
    dropped_type = isinstance(error, asyncpg.InternalServerError) and "cache lookup failed for type" in str(error)
    return dropped_type or isinstance(error, STALE_STATEMENT)


def may_have_happened(error: BaseException) -> bool:
    """Whether the outcome of the statement is unknown: the connection was lost, or the result could not be decoded."""
    return isinstance(error, _LOST) and not isinstance(error, TimeoutError)


def keeps_connection(error: BaseException) -> bool:
    """Whether the connection is as good as before `error`."""
    if isinstance(error, (*TRANSIENT, asyncpg.OutdatedSchemaCacheError)):
        return True
    return isinstance(error, asyncpg.PostgresError) and not isinstance(error, UNAVAILABLE)
