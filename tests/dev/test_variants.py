"""Copies of the tree that were extended and reduced pass the checks and the tests.

What removing the pets or an optional part could break alone is tested alone; the whole suite runs once, on a tree that
has the new resources and neither the pets nor an optional part.
"""

import pytest

from service.dev.scaffold.resource import TYPES
from tests.support.processes import ROOT
from tests.support.trees import Tree

# Those in the table of docs/your-own.md that this tree still has.
PARTS = [part for part in ("fast_path", "replica", "sqlbook", "traces") if (ROOT / "service" / part).exists()]
EVERYTHING = [f"a_{name}:{name}" for name in TYPES]
LONG = "things_with_very_long_names"
# With and without an owner, with fields of every type, with a plural of its own, and with long names.
RESOURCES = {
    "posts": ["throwaway_name:text", "pieces:integer", "broken:boolean"],  # not the function that handles POST
    "mice": [*EVERYTHING, "--singular", "mouse"],
    "shared_long_names": [*EVERYTHING, "last_of_the_fields:text", "--no-owner"],
    "apples2": ["r2d2:text", "--singular", "apple2"],
    LONG: [f"{LONG[:20]}:text"],
    "orders": ["total:numeric"],  # SQL reserves the singular
    "accounts": ["balance:numeric"],  # a module of tests/support has this name
    # Tests of the checker create tables with these names.
    "toys": ["toy_name:text"],
    "dogs": ["dog_name:text"],
}
pytestmark = pytest.mark.slow  # minutes
needs_pets = pytest.mark.skipif(not (ROOT / "sql" / "pets").exists(), reason="this tree has no pets any more")


def extend(tree: Tree) -> list[str]:
    """Add the resources; return the folders of their tests."""
    for name, words in RESOURCES.items():
        if not (tree.path / "service" / name).exists():
            tree.run(*tree.command("new", name, *words))
    return [f"tests/{name}" for name in RESOURCES]


def reduce(tree: Tree) -> None:
    """Remove the optional parts."""
    for part in PARTS:
        tree.run(*tree.command("remove", part))


def test_new_resources_pass_checks_and_their_tests(whole_tree: Tree) -> None:
    folders = extend(whole_tree)

    whole_tree.check()
    others = ("tests/sql", "tests/sqlbook", "tests/auth/test_guard.py", "tests/http/test_docs.py")
    whole_tree.test("-n", "logical", *folders, *(path for path in others if (ROOT / path).exists()))


@needs_pets
def test_tree_without_pets_passes_checks(whole_tree: Tree) -> None:
    whole_tree.run(*whole_tree.command("remove", "pets", "--drop"))

    whole_tree.check()
    whole_tree.test("-n", "logical", *(f"tests/{part}" for part in PARTS))


@needs_pets
def test_pets_need_no_optional_part(whole_tree: Tree) -> None:
    reduce(whole_tree)

    whole_tree.check()
    whole_tree.test("-n", "logical", "tests/pets")


def test_extended_and_reduced_tree_passes_all_tests(whole_tree: Tree) -> None:
    extend(whole_tree)
    reduce(whole_tree)
    if (whole_tree.path / "service/pets").exists():
        whole_tree.run(*whole_tree.command("remove", "pets", "--drop"))

    whole_tree.test("-n", "logical")
