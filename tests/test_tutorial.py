"""docs/tutorial.md: what it shows is what works."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages import PART, change, follow
from tests.processes import ROOT
from tests.trees import Tree, tree  # noqa: F401 - a fixture

pytestmark = pytest.mark.skipif((ROOT / "sql" / "toys").exists(), reason="toys are there: the page has been followed")
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


def slips(tree: Tree) -> Iterator[tuple[Path, str, str]]:  # noqa: F811 - the fixture
    """Return the slips of the page: the file, what is done to it, and what `sql check` says."""
    path = tree.path
    for part in PART.finditer(PAGE):
        if part["path"]:
            path = tree.path / part["path"]
        elif part["slip"]:
            yield path, part["slip"], part["finding"]


@pytest.mark.slow
def test_who_follows_the_page_ends_with_a_resource_that_passes_every_check(tree: Tree) -> None:  # noqa: F811 - as above
    follow(tree, PAGE)
    tree.run(*tree.command("sql", "stub"))

    tree.check()
    for path, slip, findings in slips(tree):
        before = path.read_text()
        change(path, slip)
        assert tree.fail(*tree.command("sql", "check")) == findings
        path.write_text(before)
    tree.test(
        "tests/toys", "tests/sql", "tests/auth/test_guard.py", "tests/system/test_docs.py", "tests/test_problems.py"
    )


def test_the_page_fits_the_tree(tree: Tree) -> None:  # noqa: F811 - the fixture
    """What is to be added finds its place, no file of the page is there already, and each slip can be made."""
    follow(tree, PAGE)
    for path, slip, _ in slips(tree):
        change(path, slip)

    shown = {part["path"].partition("/")[0] for part in PART.finditer(PAGE) if part["path"]}
    assert shown == {"migrations", "sql", "service", "pyproject.toml", "tests"}
