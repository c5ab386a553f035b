"""Reads the migrations with yoyo, and refuses what yoyo would pass over without a word."""

import glob
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from yoyo import read_migrations  # type: ignore[import-untyped]  # yoyo ships no types
from yoyo.migrations import MigrationList, read_sql_migration, topological_sort  # type: ignore[import-untyped]  # the same
from yoyo.topologicalsort import CycleError  # type: ignore[import-untyped]  # the same

from service.migrate.files import MigrationError, expected_checksums, is_rollback

# What someone meant as a directive, in whatever case and kind of comment.
_DIRECTIVE = re.compile(r"[\s\ufeff/*-]*(depends|transactional)\s*:(?!:)(.*?)[\s*/]*", re.IGNORECASE)
# What looks like one to people, and not to yoyo: `depends on: 0001_a`, `transactional false`, `__depends__ = …`.
_NEARLY = re.compile(r"[\s/*#-]*_*(depend|requir|transaction)\w*(?:\s+on)?\s*[:=]?\s*(.*)", re.IGNORECASE)
# The words that begin or end a transaction, behind comments.
_TRANSACTION = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(begin|start\s+transaction|commit|end|rollback|abort|prepare\s+transaction)\b",
    re.IGNORECASE | re.DOTALL,
)


def load_migrations(directory: Path) -> MigrationList:
    """Read the migrations of `directory` in the order in which they depend on each other.

    Raises MigrationError, which names file and line, for what yoyo would ignore, misread or stumble over half-way.
    """
    if not directory.is_dir():
        raise MigrationError(f"{directory} is not a folder: there are no migrations to read")
    for path in sorted(directory.iterdir()):
        if path.suffix == ".py" or path.name.startswith("post-apply"):
            raise MigrationError(
                f"{directory.name}/{path.name} is not plain SQL that is applied once: move it elsewhere"
            )
    ids = expected_checksums(directory).keys()
    for name in ids:
        _check(directory / f"{name}.sql", ids)
        _check(directory / f"{name}.rollback.sql", ids)
    migrations = read_migrations(glob.escape(str(directory))).filter(lambda migration: migration.id in ids)
    try:
        return migrations.replace(topological_sort(migrations))
    except CycleError as error:
        circle = ", ".join(migration.id for migration in error.args[1])
        raise MigrationError(f"{directory.name}/: {circle} depend on each other in a circle") from None


def place(path: Path, statement: str, offset: int = 0) -> str:
    """Return `folder/file:line` of the character `offset` of `statement`; no line if the file has no such statement."""
    if statement not in read_sql_migration(str(path))[2]:
        return _label(path)
    text = path.read_text("utf-8")
    line = text.count("\n", 0, text.index(statement) + offset) + 1
    return f"{_label(path)}:{line}"


def _label(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _check(path: Path, ids: Collection[str]) -> None:
    label = _label(path)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise MigrationError(f"{label} is missing: each migration needs the statements that undo it") from None
    except UnicodeDecodeError:
        raise MigrationError(f"{label} is not UTF-8: save it as that") from None
    if text.startswith("\ufeff"):
        raise MigrationError(f"{label}:1 begins with a byte-order mark: save it as UTF-8 without one")
    directives, _, statements = read_sql_migration(str(path))
    if is_rollback(path):
        directives = {}  # yoyo reads them and takes no notice
    for number, line in enumerate(text.split("\n"), 1):
        if match := _DIRECTIVE.fullmatch(line):
            _check_directive(f"{label}:{number}", match[1], match[2].split(), directives, ids)
        elif nearly := _NEARLY.fullmatch(line):
            _check_slip(f"{label}:{number}", nearly[1].lower(), re.findall(r"[\w-]+", nearly[2]), ids)
    for statement in statements:
        if match := _TRANSACTION.match(statement):
            raise MigrationError(
                f"{place(path, statement, match.start(1))} says {match[1]!r}: take it out, "
                "for a migration runs in one transaction already"
            )


def _check_slip(where: str, name: str, words: list[str], ids: Collection[str]) -> None:
    """Refuse what is no directive, and says what only a directive could; else it is prose."""
    if name == "transaction" and [word.lower() for word in words] in (["true"], ["false"]):
        raise MigrationError(_ignored(where, "transactional"))
    if name != "transaction" and words and set(words) <= set(ids):
        raise MigrationError(_ignored(where, "depends"))


def _ignored(where: str, name: str) -> str:
    return (
        f"{where} is a directive that yoyo ignores: write it as '-- {name}: …', in lower case, "
        "among the first '--' lines of the migration (not of its rollback)"
    )


def _check_directive(
    where: str, name: str, words: list[str], directives: Mapping[str, str], ids: Collection[str]
) -> None:
    """Refuse the directive `name: words` unless it is among those that yoyo read, and makes sense to it."""
    if not set(words) <= set(directives.get(name, "").split()):
        raise MigrationError(_ignored(where, name.lower()))
    if name == "transactional" and directives.get(name, "").lower() not in {"true", "false"}:
        raise MigrationError(f"{where} must say true or false, once")
    if name == "depends" and (strangers := sorted(set(words).difference(ids))):
        raise MigrationError(
            f"{where} depends on {strangers[0]!r}, which is not in this folder: "
            "give file names without .sql, with spaces between them and no commas"
        )
