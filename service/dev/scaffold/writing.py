"""Writes the files of a resource, and registers it in app.py, README and changelog."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from service.dev.scaffold.rendering import PACKAGE, render
from service.dev.scaffold.resource import Resource, ScaffoldError, class_name
from service.migrate import migration_files

ROOT = Path(__file__).resolve().parents[3]
MAX_LINE = 120
Edit = Callable[[str, Resource], str]
APP, README, CHANGELOG = f"{PACKAGE}/app.py", "README.md", "docs/changelog.md"
CONTROLLERS = re.compile(r"(?<=^CONTROLLERS = \[\n)((?:    \w+,\n)*)(?=\])", re.MULTILINE)


def write(resource: Resource, root: Path = ROOT) -> list[Path]:
    """Write the files of `resource` below `root`, register it, and return the written and changed paths.

    Raises ScaffoldError, before anything is written, if a file or the table exists, or if a file to edit has changed
    too much.
    """
    table = resource.table
    newest, number = next_migration(root)
    if (root / PACKAGE / f"{table}.py").exists() or (root / PACKAGE / table).exists():
        raise ScaffoldError(f"{PACKAGE}/{table} already exists; nothing was written")
    if created := _creating_migration(root, table):
        raise ScaffoldError(
            f"{created} already creates the table {table}: `remove {table} --drop` writes a migration that drops it; "
            "nothing was written"
        )
    new = _new_files(resource, number)
    for path in new:
        if (root / path).exists():
            raise ScaffoldError(f"{path} already exists; nothing was written")
    texts = {path: render(template, resource, newest) if template else "" for path, template in new.items()}
    texts = {path: _wrap_comments(text) if path.endswith(".sql") else text for path, text in texts.items()}
    texts |= {path: _registered(root, path, edit, resource) for path, edit in EDITS.items()}
    before = {path: (root / path).read_bytes() for path in EDITS}
    try:
        for path, text in texts.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
    except BaseException:  # Ctrl-C, too: half a resource could be neither repeated nor removed
        _undo(root, new, before)
        raise
    _format([root / path for path in texts if path.endswith(".py")])
    _wrap_statements([root / path for path, text in texts.items() if path.endswith(".sql") and _is_too_wide(text)])
    return [Path(path) for path in texts]


def _new_files(resource: Resource, number: int) -> dict[str, str]:
    """Return the paths of the files to write, each with the name of its template; an empty file has none."""
    table, singular = resource.table, resource.singular
    migration = f"migrations/{number:04}_create_{table}"
    return {
        f"{migration}.sql": "migration.sql",
        f"{migration}.rollback.sql": "rollback.sql",
        f"sql/{table}/create_{singular}.sql": "create.sql",
        f"sql/{table}/list_{table}.sql": "list.sql",
        f"sql/{table}/find_{singular}.sql": "find.sql",
        f"sql/{table}/change_{singular}.sql": "change.sql",
        f"sql/{table}/delete_{singular}.sql": "delete.sql",
        f"sql/{table}/dev/scale.sql": "scale.sql",
        f"{PACKAGE}/{table}/__init__.py": "",
        f"{PACKAGE}/{table}/models.py": "models.py",
        f"{PACKAGE}/{table}/controllers.py": "controllers.py",
        f"tests/{table}/__init__.py": "",
        f"tests/{table}/test_{table}.py": "tests.py",
    }


def _undo(root: Path, new: Iterable[str], before: Mapping[str, bytes]) -> None:
    """Restore the files in `before`, and remove those in `new` with the folders that are then empty."""
    for path, content in before.items():
        if (root / path).read_bytes() != content:
            (root / path).write_bytes(content)
    for path in new:
        with suppress(OSError):  # it was not written yet
            (root / path).unlink()
    for folder in sorted({(root / path).parent for path in new}, reverse=True):
        with suppress(OSError):  # it contains other files
            folder.rmdir()


def _creating_migration(root: Path, table: str) -> str:
    """Return the path of the migration that creates `table`; an empty string if none does, or a later one drops it."""
    statement = re.compile(rf"^(create|drop) table (?:if (?:not )?exists )?{table}\b", re.MULTILINE | re.IGNORECASE)
    created = ""
    for path in migration_files(root / "migrations"):
        for word in statement.findall(path.read_text("utf-8")):
            created = f"migrations/{path.name}" if word.lower() == "create" else ""
    return created


def _is_too_wide(text: str) -> bool:
    return any(len(line) > MAX_LINE for line in text.splitlines())


def next_migration(root: Path) -> tuple[str, int]:
    """Return the id of the newest migration below `root`, and the number of the next one. Raises ScaffoldError."""
    newest = max((path.stem for path in migration_files(root / "migrations")), default="")
    number = newest.partition("_")[0]
    if not number.isdecimal():
        raise ScaffoldError(f"the newest of migrations/, {newest or 'which is empty'}, does not begin with a number")
    return newest, int(number) + 1


def _app(text: str, resource: Resource) -> str:
    controller = f"{class_name(resource.table)}Controller"
    imported = f"from {PACKAGE}.{resource.table}.controllers import {controller}\n"
    text = re.sub(rf"^from {PACKAGE}\.", rf"{imported}\g<0>", text, count=1, flags=re.MULTILINE)
    return CONTROLLERS.sub(rf"\g<1>    {controller},\n", text, count=1)


def _readme(text: str, resource: Resource) -> str:
    path, thing = resource.path, resource.thing
    listed, whose = (f"/{path}/me", "yours") if resource.owned else (f"/{path}", "all")
    rows = (
        f"| `POST /{path}/create`, `GET {listed}` | add {resource.a_thing}; list {whose}, page by page |\n"
        f"| `GET`, `PATCH`, `DELETE /{path}/{{id}}` | one {thing}, with `ETag`, `If-None-Match` and `If-Match` |\n"
    )
    return text.replace("| `GET /health/live`", f"{rows}| `GET /health/live`", 1)


def _changelog(text: str, resource: Resource) -> str:
    line = f"- {resource.things.capitalize()}: `/{resource.path}`.\n"
    return re.sub(r"^## Unreleased\n\n", rf"\g<0>{line}", text, count=1, flags=re.MULTILINE)


EDITS: Mapping[str, Edit] = {APP: _app, README: _readme, CHANGELOG: _changelog}


def _registered(root: Path, path: str, edit: Edit, resource: Resource) -> str:
    text = (root / path).read_text(encoding="utf-8")
    edited = edit(text, resource)
    if edited == text:
        raise ScaffoldError(f"{path} has changed too much for this command to edit it; nothing was written")
    return edited


def _format(paths: list[Path]) -> None:
    """Format Python files as `make check` requires, because the layout depends on the length of names."""
    for arguments in (["check", "--quiet", "--select=I", "--fix"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *arguments, "--no-cache", *map(str, paths)]
        subprocess.run(ruff, check=True)  # noqa: S603 - the command is fixed


def _wrap_comments(text: str) -> str:
    """Wrap comments that long names have made too long; sqlfluff does not."""
    return "".join(
        textwrap.fill(line, MAX_LINE, subsequent_indent="--    ", break_on_hyphens=False) + "\n"
        if line.startswith("-- ") and _is_too_wide(line)
        else line
        for line in text.splitlines(keepends=True)
    )


def _wrap_statements(paths: list[Path]) -> None:
    """Wrap lines of SQL that long names have made too long."""
    if paths:
        sqlfluff = [sys.executable, "-m", "sqlfluff", "fix", "--quiet", *map(str, paths)]
        subprocess.run(sqlfluff, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the command is fixed
