"""Migrations with yoyo, made safe: one run at a time, checksums, and no half-applied migration goes unnoticed.

Read in this order: files (the migration files and their checksums), runner (apply, status, rollback), backend (yoyo's
tables, and the lock of a run), lint (rejects mistakes that yoyo ignores), commands (the command line).
"""

# inline-sql: ok it manages the tables of yoyo, which exist before any query of sql/ can run

from typing import TYPE_CHECKING

from service.migrate.files import (
    MIGRATIONS,
    MigrationError,
    after_comments,
    checksum,
    expected_checksums,
    migration_files,
    migration_text,
)

if TYPE_CHECKING:
    from service.migrate.lint import load_migrations, locate
    from service.migrate.runner import apply, rollback, status

__all__ = [
    "MIGRATIONS",
    "MigrationError",
    "after_comments",
    "apply",
    "checksum",
    "expected_checksums",
    "load_migrations",
    "locate",
    "migration_files",
    "migration_text",
    "rollback",
    "status",
]


def __getattr__(name: str) -> object:
    """Import yoyo and psycopg on first use (PEP 562)."""
    if name in {"apply", "load_migrations", "locate", "rollback", "status"}:
        from service.migrate import runner  # noqa: PLC0415 - see the docstring

        return getattr(runner, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
