"""Loads the migrations with yoyo, and rejects mistakes that yoyo ignores silently."""

import glob
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from yoyo import read_migrations  # type: ignore[import-untyped]  # yoyo ships no types
from yoyo.migrations import MigrationList, read_sql_migration, topological_sort  # type: ignore[import-untyped]  # the same
from yoyo.topologicalsort import CycleError  # type: ignore[import-untyped]  # the same

from service.migrate.files import (
    MigrationError,
    after_comments,
    is_rollback,
    migration_files,
    migration_text,
    short_path,
)

# A line meant as a directive, in any case and kind of comment.
_DIRECTIVE = re.compile(r"[\s\ufeff/*-]*(depends|transactional)\s*:(?!:)(.*?)[\s*/]*", re.IGNORECASE)
# A line that resembles a directive, but not to yoyo: `depends on: 0001_a`, `transactional false`, `__depends__ = …`.
_NEAR_DIRECTIVE = re.compile(r"[\s/*#-]*_*(depend|requir|transaction)\w*(?:\s+on)?\s*[:=]?\s*(.*)", re.IGNORECASE)
_TRANSACTION_CONTROL = re.compile(
    r"(begin|start\s+transaction|commit|end|rollback|abort|prepare\s+transaction)\b", re.IGNORECASE
)


def load_migrations(directory: Path) -> MigrationList:
    """Load the migrations of `directory`, sorted by their dependencies.

    Raises MigrationError, with file and line, for a mistake that yoyo would ignore, or find only after other
    migrations are applied.
    """
    if not directory.is_dir():
        raise MigrationError(f"{directory} is not a folder: cannot load migrations")
    for path in sorted(directory.iterdir()):
        if path.suffix == ".py" or path.name.startswith("post-apply"):
            raise MigrationError(
                f"{short_path(path)} is not a plain SQL file that is applied once: move it out of this folder"
            )
    ids = [path.stem for path in migration_files(directory)]
    for name in ids:
        _check_file(directory / f"{name}.sql", ids)
        _check_file(directory / f"{name}.rollback.sql", ids)
    migrations = read_migrations(glob.escape(str(directory))).filter(lambda migration: migration.id in ids)
    try:
        return migrations.replace(topological_sort(migrations))
    except CycleError as error:
        cycle = ", ".join(migration.id for migration in error.args[1])
        raise MigrationError(f"{directory.name}/: {cycle} depend on each other, in a cycle") from None


def locate(path: Path, statement: str, offset: int = 0) -> str:
    """Return `folder/file:line` of the character at `offset` in `statement`, but not of the comments before it.

    Without a line if the statement is not in the file.
    """
    if statement not in read_sql_migration(str(path))[2]:
        return short_path(path)
    text = path.read_text("utf-8")
    start = text.index(statement)
    line = text.count("\n", 0, max(start + offset, after_comments(text, start))) + 1
    return f"{short_path(path)}:{line}"


def _check_file(path: Path, ids: Collection[str]) -> None:
    label, text = short_path(path), migration_text(path)
    directives, _, statements = read_sql_migration(str(path))
    if is_rollback(path):
        directives = {}  # yoyo ignores them
    for number, line in enumerate(text.split("\n"), 1):
        if match := _DIRECTIVE.fullmatch(line):
            _check_directive(f"{label}:{number}", match[1], match[2].split(), directives, ids)
        elif near := _NEAR_DIRECTIVE.fullmatch(line):
            _check_near_directive(f"{label}:{number}", near[1].lower(), re.findall(r"[\w-]+", near[2]), ids)
    for statement in statements:
        if match := _TRANSACTION_CONTROL.match(statement, after_comments(statement)):
            raise MigrationError(
                f"{locate(path, statement)} contains {match[1]!r}: remove it, "
                "because a migration already runs in a transaction"
            )


def _check_near_directive(where: str, name: str, words: list[str], ids: Collection[str]) -> None:
    """Raise MigrationError if the line can only be meant as a directive; otherwise it is prose."""
    if name == "transaction" and [word.lower() for word in words] in (["true"], ["false"]):
        raise MigrationError(_ignored_directive(where, "transactional"))
    if name != "transaction" and words and set(words) <= set(ids):
        raise MigrationError(_ignored_directive(where, "depends"))


def _ignored_directive(where: str, name: str) -> str:
    return (
        f"{where} is a directive that yoyo ignores: write it as '-- {name}: …', in lower case, "
        "among the first '--' lines of the migration (not of its rollback)"
    )


def _check_directive(
    where: str, name: str, words: list[str], directives: Mapping[str, str], ids: Collection[str]
) -> None:
    """Raise MigrationError unless yoyo has read the directive `name: words`, and it is valid."""
    if not set(words) <= set(directives.get(name, "").split()):
        raise MigrationError(_ignored_directive(where, name.lower()))
    if name == "transactional" and directives.get(name, "").lower() not in {"true", "false"}:
        raise MigrationError(f"{where} must say true or false, once")
    if name == "depends" and (unknown := sorted(set(words).difference(ids))):
        is_misspelt = unknown[0].endswith((",", ".sql"))
        how = ": write names with spaces, not commas, between them, and without .sql"
        raise MigrationError(
            f"{where} depends on {unknown[0]!r}{how if is_misspelt else ', which is not in this folder'}"
        )
