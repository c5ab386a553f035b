"""`rename`: renames the package."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from service.cli import main
from service.dev.renaming import PACKAGE, rename
from service.embedded import EmbeddedPostgres
from service.problems import OperatorError
from tests.support.processes import ROOT
from tests.support.trees import Tree

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

# A longer name that sorts differently among the imports, and another one if this package has been renamed.
NEW = f"zoological_{PACKAGE}"
# How code, tools and commands name the package; compose.yaml's service and prose mean something else.
NAMED = re.compile(
    rf"""^(from|import)[ ]{PACKAGE}\b | (from|import)[ ]{PACKAGE}\.\w | "{PACKAGE}\.\w+\.\w+\.
    | -m,?[ ]{PACKAGE}\b | (?<![\w-]){PACKAGE}/ | "(\*/)?{PACKAGE}" | ^!{PACKAGE}\b
    | COPY[ ]{PACKAGE} | \b{PACKAGE}\\?\.(access|app|dev|models|sqlcheck|settings|sql)\b | logger={PACKAGE}\b""",
    re.MULTILINE | re.VERBOSE,
)
# Other uses of the name, with attributes called like modules of the package; and the package.
VARIABLE = """from tests.support.processes import command as {0}

print({0}.settings, {0}.app, {0}.get("server"), {0}("app"))
"""
IMPORTED = """import {0}.settings

print({0}.settings.Settings)
"""
# Tests that fail if a string, not an import, keeps the old name, or renames something else.
TOLD = [
    *("tests/dev/test_scaffold.py", "tests/sqlcheck/test_stub.py", "tests/sql", "tests/telemetry/test_access_log.py"),
    *("tests/test_app.py", "tests/test_cli.py", "tests/telemetry/test_logging.py", "tests/docs/test_readme.py"),
    *("tests/test_database_url.py", "tests/test_settings.py", "tests/sqlcheck/test_row_classes.py"),
]


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory, server: EmbeddedPostgres) -> tuple[Tree, str]:
    """Return a copy whose package was renamed, and the command's output."""
    copy = Tree(tmp_path_factory.mktemp("renamed") / "tree", server.url("postgres"))
    return copy, copy.run("python", "-m", PACKAGE, "rename", NEW)


def test_old_package_name_is_gone(renamed: tuple[Tree, str]) -> None:
    path = renamed[0].path

    assert {path: found[0] for path, text in texts(path) if (found := NAMED.search(text))} == {}
    assert not (path / PACKAGE).exists()
    assert f"python -m {NEW} serve" in (path / "Procfile").read_text()


def test_migrations_keep_their_checksums(renamed: tuple[Tree, str]) -> None:
    for path in ROOT.glob("migrations/*.sql"):
        assert (renamed[0].path / "migrations" / path.name).read_bytes() == path.read_bytes()


def test_command_prints_the_new_command_name(renamed: tuple[Tree, str]) -> None:
    assert renamed[1].endswith(f" files. Restart make dev if it is running. Run commands with: python -m {NEW}\n")


def test_renamed_tree_passes_checks_and_tests(renamed: tuple[Tree, str]) -> None:
    copy, _ = renamed

    copy.check(package=NEW)
    copy.run("python", "-m", NEW, "--help")
    copy.test("-n", "logical", *TOLD)


def texts(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the project's text files by their paths."""
    for path in root.rglob("*"):
        if (
            path.is_file()
            and path.suffix != ".png"
            and not {"__pycache__", "migrations", "swagger_ui"}.intersection(path.parts)
        ):
            yield str(path.relative_to(root)), path.read_text(encoding="utf-8")


def test_unrelated_uses_of_the_name_stay(whole_tree: Tree) -> None:
    """Variables, OpenTelemetry's attribute, and files next to the project."""
    (whole_tree.path / "tests" / "variable.py").write_text(VARIABLE.format(PACKAGE))
    (whole_tree.path / "tests" / "imported.py").write_text(IMPORTED.format(PACKAGE))
    (whole_tree.path / ".env").write_text(f"FILES=/srv/{PACKAGE}/files\n")

    rename(NEW, whole_tree.path)

    assert (whole_tree.path / "tests" / "variable.py").read_text() == VARIABLE.format(PACKAGE)
    assert (whole_tree.path / "tests" / "imported.py").read_text() == IMPORTED.format(NEW)
    assert (whole_tree.path / ".env").read_text() == f"FILES=/srv/{PACKAGE}/files\n"
    assert not any(f'"{NEW}.name=' in path.read_text() for path in (whole_tree.path / "tests/traces").rglob("*.py"))


@pytest.mark.parametrize("name", ["Garden", "my-garden", "1st", "", "../garden", "class"])
def test_new_name_must_be_importable(name: str) -> None:
    result = CliRunner().invoke(main, ["rename", name], prog_name=f"python -m {PACKAGE}")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: {name!r} is not a valid package name: use lower-case letters, digits and '_'\n"


@pytest.mark.parametrize("name", ["sql", "docs", "tests", "asyncpg", "json", PACKAGE])
def test_name_of_an_existing_package_is_refused(whole_tree: Tree, name: str) -> None:
    with pytest.raises(OperatorError, match="already exists, as a package or a file"):
        rename(name, whole_tree.path)
