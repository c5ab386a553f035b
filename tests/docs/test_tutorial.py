"""The examples of docs/tutorial.md work."""

import pytest

from tests.support.pages import PART, follow, numbered, section
from tests.support.processes import ROOT
from tests.support.trees import Tree

pytestmark = pytest.mark.skipif((ROOT / "sql" / "toys").exists(), reason="toys are there: the page has been followed")
PAGE = numbered((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
SHORT_WAY = section(PAGE, "The short way")
STEPS = PAGE.removesuffix(SHORT_WAY)
SHOWN = {part["path"] for part in PART.finditer(STEPS) if part["path"]}


@pytest.mark.slow
def test_tutorial_resource_passes_every_check(whole_tree: Tree) -> None:
    """Each deliberate mistake is reported in the words of the page."""
    follow(whole_tree, STEPS)

    whole_tree.check()
    whole_tree.test(
        "tests/toys", "tests/sql", "tests/auth/test_guard.py", "tests/http/test_docs.py", "tests/test_problems.py"
    )


@pytest.mark.slow
def test_new_writes_the_files_of_the_tutorial(whole_tree: Tree) -> None:
    follow(whole_tree, SHORT_WAY)

    missing = {path for path in SHOWN if not (whole_tree.path / path).exists()}
    assert missing == {"sql/toys/list_my_toys.sql"}  # it writes list_toys.sql


def test_tutorial_fits_the_tree(whole_tree: Tree) -> None:
    """Diffs apply, new files do not exist yet, and each mistake can be made."""
    follow(whole_tree, STEPS, run=False)

    assert {path.partition("/")[0] for path in SHOWN} == {"migrations", "sql", "service", "tests"}
