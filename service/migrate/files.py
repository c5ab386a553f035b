"""The migration files and their checksums; readiness needs them without importing yoyo and psycopg."""

import hashlib
import re
from pathlib import Path

from service.problems import OperatorError

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
# A comment can contain another one. Atomic groups keep the time linear, even if it has no end.
_COMMENTS = re.compile(r"(\s|--[^\n]*(\n|$)|/\*(?>(?>/\*.*?\*/)|(?!\*/).)*\*/)*", re.DOTALL)


class MigrationError(OperatorError):
    """A migration cannot proceed; the message names the problem, its location and the remedy."""


def migration_files(directory: Path) -> list[Path]:
    """Return the files of the migrations in `directory` in order, without those of their rollbacks.

    Files whose names start with a dot are ignored: Emacs and macOS create such files next to edited ones.
    """
    return [path for path in sorted(directory.glob("[!.]*.sql")) if not is_rollback(path)]


def expected_checksums(directory: Path) -> dict[str, str]:
    """Return the checksum of each migration in `directory` by its id: the schema that this code needs."""
    return {path.stem: checksum(path) for path in migration_files(directory)}


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file with LF line endings, so that checkouts on Windows have the same checksums.

    Raises MigrationError if it cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def migration_text(path: Path) -> str:
    """Return the text of a migration or a rollback. Raises MigrationError if it is not plain UTF-8."""
    label = short_path(path)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise MigrationError(f"{label} is missing: each migration needs a rollback file") from None
    except OSError as error:
        raise unreadable(path, error) from None
    except UnicodeDecodeError:
        raise MigrationError(f"{label} is not UTF-8: save it as UTF-8") from None
    if text.startswith("\ufeff"):
        raise MigrationError(f"{label}:1 begins with a byte-order mark: save it as UTF-8 without one")
    return text


def after_comments(text: str, offset: int = 0) -> int:
    """Return the offset of a statement after its leading comments, which the parsers include."""
    leading = _COMMENTS.match(text, offset)
    return leading.end() if leading else offset


def unreadable(path: Path, error: OSError) -> MigrationError:
    """Return the error for a file that cannot be read."""
    return MigrationError(f"{short_path(path)} cannot be read: {error.strerror}")


def short_path(path: Path) -> str:
    """Return `folder/file`, for messages."""
    return f"{path.parent.name}/{path.name}"


def is_rollback(path: Path) -> bool:
    """Return whether `path` is the rollback file of a migration."""
    return path.name.endswith(".rollback.sql")
