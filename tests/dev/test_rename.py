"""`rename`: the package gets another name."""

import re

import pytest
from click import ClickException
from click.testing import CliRunner

from service.cli import main
from service.dev.rename import rename
from tests.processes import ROOT
from tests.trees import Tree, tree  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow  # processes, or whole schemas: seconds each

# How code, tools and people at a shell name the package; compose.yaml's service and the prose are something else.
NAMED = re.compile(
    r"^(from|import) service\b|-m,? service\b|(?<![\w/-])service/|\"service\"|COPY[ ]service", re.MULTILINE
)


def test_the_renamed_tree_passes_every_check_and_its_tests(tree: Tree) -> None:  # noqa: F811 - the fixture
    """Also when the new name sorts elsewhere among the imports, and is longer."""
    tree.run("python", "-m", "service", "rename", "zoological_garden")

    tree.check("auth", "users", package="zoological_garden")
    tree.run("python", "-m", "zoological_garden", "--help")
    tree.test("tests/users", "tests/sql", "tests/test_app.py", "tests/test_readme.py")


def test_the_command_says_how_the_commands_are_named_now(tree: Tree) -> None:  # noqa: F811 - the fixture
    said = tree.run("python", "-m", "service", "rename", "garden")

    assert said.endswith("files changed; the commands are python -m garden now\n")


def test_nothing_names_the_package_as_before(tree: Tree) -> None:  # noqa: F811 - the fixture
    changed = rename("garden", tree.path)

    texts = {path: (tree.path / re.sub(r"^service\b", "garden", str(path))).read_text() for path in changed}
    assert {str(path): found[0] for path, text in texts.items() if (found := NAMED.search(text))} == {}
    assert not (tree.path / "service").exists()
    assert "python -m garden serve" in (tree.path / "Procfile").read_text()


def test_migrations_keep_their_checksums(tree: Tree) -> None:  # noqa: F811 - the fixture
    rename("garden", tree.path)

    for path in ROOT.glob("migrations/*.sql"):
        assert (tree.path / "migrations" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["Garden", "my-garden", "1st", "", "../garden", "class"])
def test_a_package_has_a_name_that_python_can_import(name: str) -> None:
    result = CliRunner().invoke(main, ["rename", name], prog_name="python -m service")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: {name!r} is no name for a package: small letters, digits and '_'\n"


@pytest.mark.parametrize("name", ["sql", "docs", "tests", "asyncpg", "json", "service"])
def test_no_other_package_is_hidden_by_it(tree: Tree, name: str) -> None:  # noqa: F811 - the fixture
    with pytest.raises(ClickException, match="is the name of something else already"):
        rename(name, tree.path)
