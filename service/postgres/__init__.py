"""PostgreSQL: query files, typed queries, and a connection pool that survives failures.

Read in this order: query_file (parses a file), header_mistakes (explains a malformed one), queries (typed handles),
json_columns (decodes nested objects), database (runs queries; rows become objects), error_classification (what can run
again, and on which connection), connection_pool (opens and closes connections), wait_queue, outage_log, failover
(several hosts), pool (the connection_pool that runs statements), retries (of one statement), deadlines, transaction,
slow_queries, wrapped_pool, libpq (the same URL for psycopg), commands (`roles`).
"""

from service.postgres.connection_pool import PooledConnection
from service.postgres.database import Database, Executor, PoolLike, Queries, Rows
from service.postgres.error_classification import NO_ANSWER, RETRYABLE, NotSentError
from service.postgres.header_mistakes import ACCEPTABLE_CHECKS
from service.postgres.libpq import psycopg_conninfo
from service.postgres.outage_log import OutageLog
from service.postgres.pool import Pool, ProbePool
from service.postgres.queries import (
    Count,
    Many,
    Maybe,
    One,
    Query,
    Value,
    accept_broken_files,
    count,
    many,
    maybe,
    one,
    value,
)
from service.postgres.query_file import (
    FOR_PSQL,
    SQL,
    Cardinality,
    Marker,
    Parameter,
    QueryError,
    Statement,
    query_names,
    read_query,
)
from service.postgres.wrapped_pool import WrappedPool

__all__ = [
    "ACCEPTABLE_CHECKS",
    "FOR_PSQL",
    "NO_ANSWER",
    "RETRYABLE",
    "SQL",
    "Cardinality",
    "Count",
    "Database",
    "Executor",
    "Many",
    "Marker",
    "Maybe",
    "NotSentError",
    "One",
    "OutageLog",
    "Parameter",
    "Pool",
    "PoolLike",
    "PooledConnection",
    "ProbePool",
    "Queries",
    "Query",
    "QueryError",
    "Rows",
    "Statement",
    "Value",
    "WrappedPool",
    "accept_broken_files",
    "count",
    "many",
    "maybe",
    "one",
    "psycopg_conninfo",
    "query_names",
    "read_query",
    "value",
]
