"""yoyo's migrations, made safe: one run at a time, checksums, no half-applied step goes unnoticed.

Read in this order: files (what is there), runner (apply, status, rollback), backend (yoyo's connection), lint (mistakes
that yoyo would not report).
"""

# inline-sql: ok the books of migrations are older than any file of sql/

from typing import TYPE_CHECKING

from service.migrate.files import MIGRATIONS, MigrationError, checksum, expected_checksums

if TYPE_CHECKING:
    from service.migrate.lint import load_migrations
    from service.migrate.runner import apply, rollback, status

__all__ = [
    "MIGRATIONS",
    "MigrationError",
    "apply",
    "checksum",
    "expected_checksums",
    "load_migrations",
    "rollback",
    "status",
]


def __getattr__(name: str) -> object:
    """Import yoyo and psycopg only when it is used (PEP 562)."""
    if name in {"apply", "rollback", "status"}:
        from service.migrate import runner  # noqa: PLC0415 - as said

        return getattr(runner, name)
    if name == "load_migrations":
        from service.migrate import lint  # noqa: PLC0415 - as said

        return getattr(lint, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
