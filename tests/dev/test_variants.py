"""A copy of the tree that was extended and reduced passes the checks and all tests."""

import pytest

from service.dev.scaffold.removal import remove
from service.dev.scaffold.resource import TYPES, read_resource
from service.dev.scaffold.writing import write
from tests.support.processes import ROOT
from tests.support.trees import Tree

# Those in the table of docs/your-own.md that this tree still has.
PARTS = [part for part in ("fast_path", "replica", "sqlbook", "traces") if (ROOT / "service" / part).exists()]
EVERYTHING = [f"a_{name}:{name}" for name in TYPES]
LONG = "things_with_very_long_names"
# With and without an owner, with fields of every type, with a plural of its own, and with long names.
RESOURCES = [
    read_resource(name, fields, singular=singular, owned=owned)
    for name, fields, singular, owned in (
        ("posts", ["throwaway_name:text", "pieces:integer", "broken:boolean"], None, True),  # a post is no POST
        ("mice", EVERYTHING, "mouse", True),
        ("shared_long_names", [*EVERYTHING, "last_of_the_fields:text"], None, False),
        ("apples2", ["r2d2:text"], "apple2", True),
        (LONG, [f"{LONG[:20]}:text"], None, True),
        ("orders", ["total:numeric"], None, True),  # SQL reserves its singular
        ("accounts", ["balance:numeric"], None, True),  # a module of tests/support has this name
        # Tests of the checker create tables with these names.
        ("toys", ["toy_name:text"], None, True),
        ("dogs", ["dog_name:text"], None, True),
    )
]


@pytest.mark.slow  # minutes
def test_extended_and_reduced_tree_passes_checks_and_tests(whole_tree: Tree) -> None:
    """Without the pets, the tests of the optional parts pass; without these parts too, all others."""
    for resource in RESOURCES:
        if not (whole_tree.path / "service" / resource.table).exists():
            write(resource, whole_tree.path)
    if (whole_tree.path / "service/pets").exists():
        remove("pets", whole_tree.path, drop=True)
    whole_tree.run(*whole_tree.command("sql", "stub"))
    whole_tree.check()
    whole_tree.test("-n", "logical", *(f"tests/{part}" for part in PARTS))

    for part in PARTS:
        remove(part, whole_tree.path)
    whole_tree.run(*whole_tree.command("sql", "stub"))
    whole_tree.check()
    whole_tree.test("-n", "logical")
