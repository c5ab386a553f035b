"""PostgreSQL: queries read from files, and connections that outlive failures.

Read in this order: queries (the files), readers (typed handles of files), database (rows become objects), pool (runs
statements), transaction, connections (the pool's life cycle), connection, wait_queue, errors (what a failure means),
failover (several hosts), replica (reads on another server), slow_queries, libpq (the same URL for psycopg), roles,
tracing.
"""

from typing import TYPE_CHECKING

from service.postgres.connections import OutageLog
from service.postgres.database import Connections, Database, Executor, Queries, Rows
from service.postgres.pool import Pool, ProbePool
from service.postgres.queries import (
    FOR_PSQL,
    SQL,
    Cardinality,
    Count,
    Many,
    Marker,
    Maybe,
    One,
    Parameter,
    Query,
    QueryError,
    Statement,
    Value,
    accept_broken_files,
    query_names,
    read_query,
)
from service.postgres.readers import count, many, maybe, one, value
from service.postgres.replica import ReplicaPool, Replicated

if TYPE_CHECKING:
    from service.postgres.libpq import psycopg_conninfo
    from service.postgres.tracing import TracedConnections

__all__ = [
    "FOR_PSQL",
    "SQL",
    "Cardinality",
    "Connections",
    "Count",
    "Database",
    "Executor",
    "Many",
    "Marker",
    "Maybe",
    "One",
    "OutageLog",
    "Parameter",
    "Pool",
    "ProbePool",
    "Queries",
    "Query",
    "QueryError",
    "ReplicaPool",
    "Replicated",
    "Rows",
    "Statement",
    "TracedConnections",
    "Value",
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


def __getattr__(name: str) -> object:
    """Import psycopg or OpenTelemetry only when needed (PEP 562)."""
    if name == "psycopg_conninfo":
        from service.postgres import libpq  # noqa: PLC0415 - as said

        return getattr(libpq, name)
    if name == "TracedConnections":
        from service.postgres import tracing  # noqa: PLC0415 - as said

        return getattr(tracing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
