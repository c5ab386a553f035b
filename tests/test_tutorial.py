"""docs/tutorial.md: what it shows is what works."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT
from tests.trees import Tree, tree  # noqa: F401 - a fixture

pytestmark = pytest.mark.skipif((ROOT / "sql" / "toys").exists(), reason="toys are there: the page has been followed")
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
# A file's name on a line of its own, or its empty file announced; and a block, which belongs to the last name: a slip
# with what is said of it, or a part of the file.
PART = re.compile(
    r"^`(?P<path>[^\s`]+)`( is empty[^\n]*)?$"
    r"|^```diff slip\n(?P<slip>.*?)^```\n\n^```text\n(?P<finding>.*?)^```$"
    r"|^```(?P<kind>sql|python|diff)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def change(path: Path, diff: str) -> None:
    """Change the one place of a file that a diff shows."""
    lines = diff.splitlines(keepends=True)
    old, new = ("".join(line[1:] for line in lines if line[0] in signs) for signs in (" -", " +"))
    assert path.read_text().count(old) == 1, f"{path.name} has no such place:\n{old}"
    path.write_text(path.read_text().replace(old, new))


def follow(tree: Tree, page: str = PAGE) -> None:  # noqa: F811 - the fixture
    """Make the files of a page, and the changes of those that are there."""
    path = tree.path
    for part in PART.finditer(page):
        if part["path"]:
            path = tree.path / part["path"]
            path.parent.mkdir(exist_ok=True)
            path.touch()
        elif part["kind"] == "diff":
            change(path, part["text"])
        elif part["kind"]:
            assert path.read_text() == "", f"{path.name} is shown twice, or there already"
            path.write_text(part["text"])


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
    follow(tree)

    tree.check("toys")
    for path, slip, findings in slips(tree):
        before = path.read_text()
        change(path, slip)
        assert tree.fail(*tree.sql("check")) == findings
        path.write_text(before)
    tree.test(
        "tests/toys", "tests/sql", "tests/auth/test_guard.py", "tests/system/test_docs.py", "tests/test_problems.py"
    )


def test_the_page_fits_the_tree(tree: Tree) -> None:  # noqa: F811 - the fixture
    """What is to be added finds its place, no file of the page is there already, and each slip can be made."""
    follow(tree)
    for path, slip, _ in slips(tree):
        change(path, slip)

    shown = {part["path"].partition("/")[0] for part in PART.finditer(PAGE) if part["path"]}
    assert shown == {"migrations", "sql", "service", "pyproject.toml", "tests"}
