"""The embedded PostgreSQL of `make dev`, the tests and the SQL checks: no installation, no TCP port.

- `server`: starts the server, and stops it when its holder ends, however that ends
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
