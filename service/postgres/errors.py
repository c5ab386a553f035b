"""What the failures of a statement mean for its connection, and for whoever waits for its rows."""

import asyncpg

# PostgreSQL refuses for now, and the connection is as good as before: out of time, behind a lock, disk or memory full.
FOR_NOW = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, asyncpg.InsufficientResourcesError)
# What PostgreSQL's absence looks like: no route, a closed connection, a server that starts, stops or has no room, or
# that is no primary any more. InternalClientError is asyncpg's word for a farewell that came just before the query.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    *FOR_NOW,
)
# PostgreSQL says that the statement lost to another one, and has not happened: even a write may run again.
UNDONE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
# The schema changed under a prepared statement: prepared anew, it runs. Nothing has been done yet.
STALE = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
