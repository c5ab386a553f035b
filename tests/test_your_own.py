"""docs/your-own.md: each step leaves a tree that passes its tests and checks. test_rename.py has the first."""

import pytest

from tests.pages import follow, section
from tests.processes import ROOT
from tests.trees import Tree, tree  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "sql" / "pets").exists(), reason="the pets are gone: the page has been followed"),
]
# What every feature is made of. The tests of the pets cover it by the way, so others must cover it without them: these
# of the default run. The slow ones take minutes; those that need pets are run below, or the page removes them.
FRAME = """
    service/answers.py
    service/auth/guard.py
    service/database.py
    service/openapi*.py
    service/preconditions.py
    service/problems.py
    service/queries.py
    service/request.py
    service/routing.py
    service/short_way.py
"""
# They know nothing of features, and are more than half of the work.
BELOW = [
    *("connections", "migrate", "replica", "traces", "review/book"),
    *("auth/test_login_races.py", "auth/test_passwords.py", "auth/test_throttle.py"),
    *("dev/test_checked.py", "dev/test_embedded.py", "dev/test_embedded_refusals.py", "dev/test_embedded_users.py"),
]
PAGE = (ROOT / "docs" / "your-own.md").read_text(encoding="utf-8")


def test_a_resource_of_ones_own_stands_beside_the_pets(tree: Tree) -> None:  # noqa: F811 - the fixture
    follow(tree, section(PAGE, "A resource of your own"))

    tree.check()
    tree.test("tests/plants", "tests/pets", "tests/test_readme.py")


def test_without_the_pets_the_accounts_stay(tree: Tree) -> None:  # noqa: F811 - the fixture
    follow(tree, section(PAGE, "Without the pets"))

    tree.check()
    coverage = tree.path / "frame.ini"
    coverage.write_text(f"[run]\nbranch = true\nparallel = true\ninclude = {FRAME}")
    measured = ("--cov", f"--cov-config={coverage}", "--cov-fail-under=100", "--cov-report=term-missing")
    tree.test("-n", "logical", *measured, *(f"--ignore=tests/{each}" for each in BELOW))
