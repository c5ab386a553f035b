"""docs/tutorial.md: what it shows is what works."""

import re

import pytest

from tests.processes import ROOT
from tests.trees import Tree, tree  # noqa: F401 - a fixture

pytestmark = pytest.mark.skipif((ROOT / "sql" / "toys").exists(), reason="toys are there: the page has been followed")
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
# A file's name on a line of its own, or its empty file announced; and a block, which belongs to the last name.
PART = re.compile(
    r"^`(?P<path>[^\s`]+)`( is empty[^\n]*)?$|^```(?P<kind>sql|python|diff)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def follow(tree: Tree) -> None:  # noqa: F811 - the fixture
    """Make the files of the page, and the additions to those that are there."""
    path = tree.path
    for part in PART.finditer(PAGE):
        if part["path"]:
            path = tree.path / part["path"]
            path.parent.mkdir(exist_ok=True)
            path.touch()
        elif part["kind"] == "diff":
            lines = part["text"].splitlines(keepends=True)
            old, new = ("".join(line[1:] for line in lines if line[0] in signs) for signs in (" -", " +"))
            assert path.read_text().count(old) == 1, f"{path.name} has no such place:\n{old}"
            path.write_text(path.read_text().replace(old, new))
        else:
            assert path.read_text() == "", f"{path.name} is shown twice, or there already"
            path.write_text(part["text"])


@pytest.mark.slow
def test_who_follows_the_page_ends_with_a_resource_that_passes_every_check(tree: Tree) -> None:  # noqa: F811
    follow(tree)

    tree.check("toys")
    tree.test("tests/toys", "tests/sql", "tests/auth/test_guard.py", "tests/system", "tests/test_problems.py")


def test_the_page_fits_the_tree(tree: Tree) -> None:  # noqa: F811 - the fixture
    """What is to be added finds its place, and no file of the page is there already."""
    follow(tree)

    shown = {part["path"].partition("/")[0] for part in PART.finditer(PAGE) if part["path"]}
    assert shown == {"migrations", "sql", "service", "pyproject.toml", "tests"}
