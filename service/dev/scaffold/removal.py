"""``remove``: removes a feature, and later its tables, which the running release still uses."""

import re
import shutil
from pathlib import Path

from service.dev.scaffold.registration import APP, CHANGELOG, README
from service.dev.scaffold.rendering import PACKAGE
from service.dev.scaffold.resource import ScaffoldError
from service.dev.scaffold.writing import ROOT, next_migration

TABLE = re.compile(r"^create table (?:if not exists )?(\w+)", re.MULTILINE | re.IGNORECASE)


def remove(name: str, root: Path = ROOT, *, drop: bool = False) -> list[Path]:
    """Remove the feature `name` below `root`, and return the paths that were removed, changed or written.

    With `drop`, write a migration that drops its tables; the feature itself can already be removed.

    Raises ScaffoldError, before anything is changed, if other code imports the feature, or if there is nothing to
    remove.
    """
    code = root / PACKAGE / name
    if not code.is_dir() and not drop:
        raise ScaffoldError(f"{PACKAGE}/{name} does not exist; nothing was removed")
    texts = _unregistered(name, root) if code.is_dir() else {}
    if drop:
        texts |= _drop_tables(name, root)
    folders = [Path(folder) / name for folder in (PACKAGE, "sql", "tests") if (root / folder / name).is_dir()]
    for folder in folders:
        shutil.rmtree(root / folder)
    for path, text in texts.items():
        (root / path).write_text(text, encoding="utf-8")
    return [*folders, *map(Path, texts)]


def _unregistered(name: str, root: Path) -> dict[str, str]:
    """Return the new contents of the files that register the feature."""
    importing = re.compile(rf"^\s*(from|import) {PACKAGE}\.{name}\b", re.MULTILINE)
    for path in sorted((root / PACKAGE).rglob("*.py")):
        relative = path.relative_to(root)
        if relative.as_posix() != APP and relative.parts[1] != name and importing.search(path.read_text("utf-8")):
            raise ScaffoldError(f"{relative} imports {PACKAGE}.{name}: change that first; nothing was removed")
    app = (root / APP).read_text("utf-8")
    controllers = re.findall(rf"^from {PACKAGE}\.{name}\.controllers import (\w+)$", app, re.MULTILINE)
    if not controllers:
        raise ScaffoldError(f"{APP} imports no controller of {PACKAGE}.{name}; nothing was removed")
    app = re.sub(rf"^from {PACKAGE}\.{name}\..*\n", "", app, flags=re.MULTILINE)
    app = re.sub(rf"^    ({'|'.join(controllers)}),\n", "", app, flags=re.MULTILINE)
    source = (root / PACKAGE / name / "controllers.py").read_text("utf-8")
    paths = re.findall(r'^    path = "(/[^"]+)"$', source, re.MULTILINE)
    own_path = re.compile("|".join(rf"{re.escape(path)}\b" for path in paths) or r"(?!)")
    readme, changelog = ((root / path).read_text("utf-8") for path in (README, CHANGELOG))
    readme = "".join(
        line for line in readme.splitlines(keepends=True) if not (line.startswith("|") and own_path.search(line))
    )
    readme = re.sub(
        r"(?<=```console\n).*?(?=```)", lambda found: _session_without(own_path, found[0]), readme, flags=re.DOTALL
    )
    line = re.compile(rf"^- .*: `({'|'.join(map(re.escape, paths))})`\.$")
    changelog = "".join(each for each in changelog.splitlines(keepends=True) if not line.match(each.rstrip()))
    return {APP: app, README: readme, CHANGELOG: changelog}


def _session_without(path: re.Pattern[str], session: str) -> str:
    """Return a console session without the commands that match `path`, and their output."""
    steps = re.split(r"^(?=\$ )", session, flags=re.MULTILINE)
    return "".join(step for step in steps if not path.search(step))


def _drop_tables(name: str, root: Path) -> dict[str, str]:
    """Return a migration, with its rollback, that drops the tables of the feature's first migration."""
    created = sorted(path for path in (root / "migrations").glob(f"*_create_{name}.sql"))
    if not created:
        raise ScaffoldError(f"migrations/ has no *_create_{name}.sql; nothing was removed")
    text = created[-1].read_text("utf-8")
    tables = TABLE.findall(text)
    newest, number = next_migration(root)
    migration = f"migrations/{number:04}_drop_{name}"
    drops = "".join(f"-- squawk-ignore ban-drop-table\ndrop table {table};\n" for table in reversed(tables))
    return {
        f"{migration}.sql": f"-- No release that still runs uses {name}.\n-- depends: {newest}\n{drops}",
        f"{migration}.rollback.sql": re.sub(r"^-- depends:.*\n", "", text, flags=re.MULTILINE),
    }
