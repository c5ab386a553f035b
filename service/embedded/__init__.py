"""The embedded PostgreSQL of `make dev`, the tests and the SQL checks: no installation, no TCP port.

Its only module, server, starts PostgreSQL, and stops it when the process that started it ends, even if it is killed.
"""

from service.embedded.server import (
    MISSING_EXTENSION,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    EmbeddedPostgresMissingError,
    as_ordinary_user,
    embedded_postgres,
    find_binaries,
)

__all__ = [
    "MISSING_EXTENSION",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "EmbeddedPostgresMissingError",
    "as_ordinary_user",
    "embedded_postgres",
    "find_binaries",
]
