"""docs/your-own.md: its commands in a row leave a tree whose tests and checks pass."""

import pytest

from tests.support.pages import commands
from tests.support.processes import ROOT
from tests.support.trees import Tree

PAGE = "docs/your-own.md"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif((ROOT / "garden").exists(), reason="the package has that name: the page has been followed"),
    pytest.mark.skipif(not (ROOT / "sql" / "pets").exists(), reason="the pets are gone: the page has been followed"),
]


def test_all_commands_in_a_row_pass_checks_and_tests(whole_tree: Tree) -> None:
    rename, *_ = commands(whole_tree.path / PAGE)
    whole_tree.shell(rename)
    _, new, remove, drop = commands(whole_tree.path / PAGE)  # they use the new name now

    for command in (new, remove, drop):
        whole_tree.shell(command)

    whole_tree.check(package="garden")
    whole_tree.test("tests/plants", "tests/sql", "tests/auth/test_guard.py", "tests/dev", "tests/test_cli.py")
