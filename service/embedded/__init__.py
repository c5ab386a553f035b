"""The embedded PostgreSQL of `make dev`, the tests and the SQL checks: no installation, no TCP port.

- `server`: starts the server, and stops it when the process that started it exits, even if it is killed
"""

from service.embedded.server import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    EmbeddedPostgresMissingError,
    as_ordinary_user,
    embedded_postgres,
    find_binaries,
)

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "EmbeddedPostgresMissingError",
    "as_ordinary_user",
    "embedded_postgres",
    "find_binaries",
]
