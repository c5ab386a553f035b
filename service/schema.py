"""The schema that this code needs, known by its migration files; asks no database."""

import hashlib
from pathlib import Path

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


def expected_checksums(directory: Path = MIGRATIONS) -> dict[str, str]:
    r"""Return the sha256 of each migration by its id, in the order of their names.

    Line ends count as ``\n``, so that a checkout on Windows has the checksums of one elsewhere.
    """
    return {
        path.stem: hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
        for path in sorted(directory.glob("*.sql"))
        if not path.name.endswith(".rollback.sql")
    }
