"""``remove``: removes a feature, and later its tables, which the running release still uses."""

import ast
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pglast

from service.dev.scaffold.rendering import PACKAGE
from service.dev.scaffold.resource import NAME, ScaffoldError
from service.dev.scaffold.writing import APP, CHANGELOG, README, ROOT, next_migration
from service.migrate import migration_files

# The only modules that can import a feature or an optional part.
ASSEMBLY = {APP, f"{PACKAGE}/cli.py", f"{PACKAGE}/dev/commands.py"}
QUERY_NAME = re.compile(r'"(\w+\.\w+)"')
LITERAL = re.compile(r"'(?:[^']|'')*'")
TABLE = re.compile(r"^create table (?:if not exists )?(\w+)", re.MULTILINE | re.IGNORECASE)


def remove(name: str, root: Path = ROOT, *, drop: bool = False) -> list[Path]:
    """Remove the feature or the optional part `name` from the tree at `root`.

    Returns the paths that were removed, changed or written. With `drop`, also write a migration that drops its tables;
    the feature itself may have been removed before. Raises ScaffoldError, before anything is changed, if other code
    needs the package, or if there is nothing to remove.
    """
    if not NAME.fullmatch(name):
        raise ScaffoldError(f"{name!r} is not the name of a package; nothing was removed")
    code = root / PACKAGE / name
    if not code.is_dir() and not drop:
        raise ScaffoldError(f"{PACKAGE}/{name} does not exist; nothing was removed")
    edited = _unregistered(name, root) if code.is_dir() else {}
    edited = {path: text for path, text in edited.items() if (root / path).read_text("utf-8") != text}
    added = _drop_tables(name, root) if drop else {}
    # The package is removed last, and the migration written after it, so an interrupted command can be repeated.
    paths = _queries_of(name, root)
    paths += [path for path in (root / "tests").rglob(f"test_{name}.py") if path.parent.name != name]
    paths += [path for folder in ("sql", "tests", PACKAGE) if (path := root / folder / name).is_dir()]
    _write(root, edited)
    for removed in paths:
        shutil.rmtree(removed) if removed.is_dir() and not removed.is_symlink() else removed.unlink()
    _write(root, added)
    return [*(path.relative_to(root) for path in paths), *map(Path, edited), *map(Path, added)]


def _write(root: Path, texts: Mapping[str, str]) -> None:
    for path, text in texts.items():
        (root / path).write_text(text, encoding="utf-8")


def _unregistered(name: str, root: Path) -> dict[str, str]:
    """Return the paths of the files that name the package, each with its text without these lines."""
    texts = {}
    for folder in (PACKAGE, "tests"):
        for path in sorted((root / folder).rglob("[!.]*.py")):
            relative = path.relative_to(root)
            if name in {*relative.parts[1:-1], relative.stem.removeprefix("test_")}:
                continue
            text = path.read_text("utf-8")
            if imported := _imported(name, text, str(relative)):
                if folder == PACKAGE and relative.as_posix() not in ASSEMBLY:
                    raise ScaffoldError(f"{relative} imports {PACKAGE}.{name}: change that first; nothing was removed")
                texts[relative.as_posix()] = _without(name, imported, text, relative)
    controllers = root / PACKAGE / name / "controllers.py"
    return texts | (_unlisted(controllers.read_text("utf-8"), root) if controllers.is_file() else {})


def _imported(name: str, text: str, path: str) -> dict[str, range]:
    """Return the names that `text` imports from the package, and the lines of each import."""
    found = {}
    for node in ast.walk(ast.parse(text, path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            of_package = node.module == f"{PACKAGE}.{name}" or node.module.startswith(f"{PACKAGE}.{name}.")
            for alias in node.names:
                if of_package or (node.module == PACKAGE and alias.name == name):
                    found[alias.asname or alias.name] = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return found


def _without(name: str, imported: dict[str, range], text: str, path: Path) -> str:
    """Return `text` without the imports, the lines that use them, and the lines that name the package.

    Raises ScaffoldError if the rest is not valid Python: a removed line did more than register the package.
    """
    words = re.compile(rf"\b({'|'.join(map(re.escape, [name, *imported]))})\b")
    imports = {number for numbers in imported.values() for number in numbers}
    lines = enumerate(text.splitlines(keepends=True), 1)
    kept = "".join(line for number, line in lines if number not in imports and not words.search(line))
    try:
        ast.parse(kept)
    except SyntaxError:
        raise ScaffoldError(f"{path} needs {PACKAGE}.{name}: change that first; nothing was removed") from None
    return kept


def _unlisted(controllers: str, root: Path) -> dict[str, str]:
    """Return README and the changelog without the lines about the paths of `controllers`."""
    paths = re.findall(r'^    path = "(/[^"]+)"$', controllers, re.MULTILINE)
    named = re.compile("|".join(rf"{re.escape(path)}\b" for path in paths) or r"(?!)")
    readme, changelog = ((root / path).read_text("utf-8") for path in (README, CHANGELOG))
    readme = "".join(
        line for line in readme.splitlines(keepends=True) if not (line.startswith("|") and named.search(line))
    )
    readme = re.sub(
        r"(?<=```console\n).*?(?=```)", lambda found: _session_without(named, found[0]), readme, flags=re.DOTALL
    )
    line = re.compile(rf"^- .*: `({'|'.join(map(re.escape, paths))})`\.$")
    changelog = "".join(each for each in changelog.splitlines(keepends=True) if not line.match(each.rstrip()))
    return {README: readme, CHANGELOG: changelog}


def _queries_of(name: str, root: Path) -> list[Path]:
    """Return the SQL files of other folders that only the package reads."""

    def read_by(paths: Iterable[Path]) -> set[str]:
        return {query for path in paths for query in QUERY_NAME.findall(path.read_text("utf-8"))}

    all_code = set((root / PACKAGE).rglob("[!.]*.py"))
    own_code = set((root / PACKAGE / name).rglob("[!.]*.py"))
    only_here = read_by(own_code) - read_by(all_code - own_code)
    files = [root / "sql" / f"{query.replace('.', '/')}.sql" for query in sorted(only_here)]
    return [path for path in files if path.is_file() and path.parent.name != name]


def _session_without(path: re.Pattern[str], session: str) -> str:
    """Return a console session without the commands that match `path`, and their output."""
    steps = re.split(r"^(?=\$ )", session, flags=re.MULTILINE)
    return "".join(step for step in steps if not path.search(step))


def _drop_tables(name: str, root: Path) -> dict[str, str]:
    """Return a migration that drops the tables which the feature's first migration created, and its rollback."""
    created = sorted((root / "migrations").glob(f"*_create_{name}.sql"))
    if not created:
        raise ScaffoldError(f"migrations/ has no *_create_{name}.sql; nothing was removed")
    text = created[-1].read_text("utf-8")
    tables = TABLE.findall(text)
    newest, number = next_migration(root)
    migration = f"migrations/{number:04}_drop_{name}"
    drops = "".join(f"-- squawk-ignore ban-drop-table\ndrop table {table};\n" for table in reversed(tables))
    rollback = re.sub(r"^-- depends:.*\n", "", text, flags=re.MULTILINE)
    if changes := [f"{statement};\n" for statement in _later_statements(created[-1], tables)]:
        rollback += "\n" + "".join(changes)
    return {
        f"{migration}.sql": f"-- No release that still runs uses {name}.\n-- depends: {newest}\n{drops}",
        f"{migration}.rollback.sql": rollback,
    }


def _later_statements(created: Path, tables: list[str]) -> Iterator[str]:
    """Yield the statements of later migrations about `tables`, or about their indexes and constraints."""
    names = re.findall(rf"\b(?:{'|'.join(tables)})(?:_\w+)?\b", created.read_text("utf-8"))
    named = re.compile(rf"\b(?:{'|'.join(sorted(set(names)))})\b")
    for path in migration_files(created.parent):
        if path.name > created.name:
            for statement in pglast.split(path.read_text("utf-8")):
                if named.search(LITERAL.sub("", statement)):
                    yield statement
