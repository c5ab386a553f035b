"""docs/your-own.md: each step leaves a tree that passes its tests and checks. test_rename.py has the first alone."""

import pytest

from tests.support.pages import follow, section
from tests.support.processes import ROOT
from tests.support.trees import Tree

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "sql" / "pets").exists(), reason="the pets are gone: the page has been followed"),
]
# What every feature is made of. The tests of the pets cover it by the way, so others must cover it without them: these
# of the default run. The slow ones take minutes; those that need pets are run below, or the page removes them.
FRAME = """
    service/http/errors.py
    service/auth/guard.py
    service/postgres/database.py
    service/http/openapi*.py
    service/http/etags.py
    service/problems.py
    service/postgres/queries.py
    service/http/request.py
    service/http/routing.py
    service/http/fast_path.py
"""
# They know nothing of features, and are more than half of the work.
BELOW = [
    *("migrate", "postgres", "telemetry", "sqlbook", "embedded"),
    *("auth/test_login_races.py", "auth/test_passwords.py", "auth/test_throttle.py"),
    "dev/test_checked.py",
]
# What the page says of plants: they stand in the same lists, and the migration comes after theirs.
WITH_PLANTS = {
    "migrations/0006_drop_pets": "migrations/0007_drop_pets",
    "depends: 0005_create_idempotency_key": "depends: 0006_create_plants",
}
PAGE = "docs/your-own.md"


def take(tree: Tree, step: str) -> None:
    """Do what a section of the page says, as it stands in the tree by then."""
    follow(tree, section((tree.path / PAGE).read_text(encoding="utf-8"), step))


@pytest.mark.skipif((ROOT / "garden").exists(), reason="it has that name: the page has been followed")
def test_all_steps_in_a_row_pass_checks(whole_tree: Tree) -> None:
    take(whole_tree, "Another name")
    take(whole_tree, "A resource of your own")
    whole_tree.test("tests/plants", "tests/pets")
    page = whole_tree.path / PAGE
    for text, with_plants in WITH_PLANTS.items():
        page.write_text(page.read_text().replace(text, with_plants))
    take(whole_tree, "Without the pets")

    whole_tree.check(package="garden")
    whole_tree.test(
        "tests/plants", "tests/sql", "tests/auth/test_guard.py", "tests/dev/test_server.py", "tests/test_cli.py"
    )


def test_removing_pets_keeps_accounts(whole_tree: Tree) -> None:
    take(whole_tree, "Without the pets")

    whole_tree.check()
    coverage = whole_tree.path / "frame.ini"
    coverage.write_text(f"[run]\nbranch = true\nparallel = true\ninclude = {FRAME}")
    measured = ("--cov", f"--cov-config={coverage}", "--cov-fail-under=100", "--cov-report=term-missing")
    whole_tree.test("-n", "logical", *measured, *(f"--ignore=tests/{each}" for each in BELOW))
