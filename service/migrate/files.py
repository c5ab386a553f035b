"""The migration files and their checksums: what readiness needs, without loading yoyo and psycopg for it."""

import hashlib
from pathlib import Path

from service.problems import OperatorError

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


class MigrationError(OperatorError):
    """The migration cannot go on; one sentence says what, where, and what to do."""


def expected_checksums(directory: Path) -> dict[str, str]:
    """Return the checksum of each migration by its id: the schema that this code needs. Asks no database.

    Names that begin with a dot are not migrations: Emacs and macOS put such files beside those that are edited.
    """
    return {path.stem: checksum(path) for path in sorted(directory.glob("[!.]*.sql")) if not is_rollback(path)}


def checksum(path: Path) -> str:
    """Return the sha256 of a file, with LF for line ends, so that a checkout on Windows has that of one elsewhere."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def is_rollback(path: Path) -> bool:
    """Return whether the file undoes a migration."""
    return path.name.endswith(".rollback.sql")
