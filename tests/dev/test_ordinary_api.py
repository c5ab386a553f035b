"""The tests that run over all routes, on an API with more than accounts and pets."""

from pathlib import Path

import pytest

from tests.support.pages import follow, numbered
from tests.support.processes import ROOT
from tests.support.trees import Tree

PAGE = numbered(Path(__file__).with_name("wares.md").read_text(encoding="utf-8"))
OVER_ALL_ROUTES = [
    *("tests/auth/test_guard.py", "tests/sql", "tests/sqlbook/test_endpoints.py", "tests/sqlcheck/test_stub.py"),
    *("tests/http/test_openapi.py", "tests/http/test_docs.py", "tests/test_problems.py"),
    "tests/e2e/test_black_box.py",
]
API = "tests/support/api.py"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif((ROOT / "sql" / "wares").exists(), reason="the service has wares of its own"),
]


@pytest.fixture
def tree(whole_tree: Tree) -> Tree:
    """Return a tree with the features of ordinary APIs."""
    follow(whole_tree, PAGE)
    return whole_tree


def test_ordinary_api_passes_the_tests_over_all_routes(tree: Tree) -> None:
    tree.test("-n", "logical", *OVER_ALL_ROUTES)


def test_worker_in_compose_file_fails_no_test(tree: Tree) -> None:
    tree.test("tests/e2e/deploy/test_compose.py", "tests/e2e/deploy/test_procfile.py")
    tree.test("-m", "slow", "tests/e2e/deploy/test_compose_config.py")


def test_list_with_filters_passes_ruff(tree: Tree) -> None:
    tree.run("ruff", "check", "--no-cache", "service/wares")


@pytest.mark.parametrize(
    ("path", "old", "new", "test", "advice"),
    [
        (API, '        "GET /wares",\n', "", "tests/auth/test_guard.py", "add security=BEARER, or list these as OPEN"),
        (
            API,
            '"POST /wares": Route(rows="insert into ware_keepers (user_id) values ($1)")',
            '"POST /wares": Route()',
            "tests/sql/test_round_trips.py",
            "POST /wares: 403 ",
        ),
        (API, "        trips=5,\n", "", "tests/sql/test_round_trips.py", "if the route needs a transaction, write its"),
        (
            "service/wares/models.py",
            "max_length=3)",
            'max_length=3, pattern="^[A-Z]+$")',
            "tests/auth/test_guard.py",
            "POST /ware-orders: add an example of `note` to its class, or a body to tests/support/api.py",
        ),
        (
            "sql/wares/add_ware_keeper.sql",
            "values ($1)",
            "values (($1::text || '?')::uuid)",
            "tests/sql/test_sql_files.py",
            "If it refuses a value, give another in PARAMETERS of tests/support/api.py",
        ),
        (
            "docs/problems.md",
            "| `/problems/unknown-ware` | 422 |",
            "| `/problems/unknown-ware` | 409 |",
            "tests/test_problems.py",
            "add these to the table of docs/problems.md",
        ),
        (
            "service/wares/problems.py",
            '    constraints = ("ware_orders_ware_id_fkey",)\n',
            "",
            "tests/test_problems.py",
            "list these in the `constraints` of a Problem",
        ),
        ("README.md", "| `SLOW_QUERY_MS` |", "| |", "tests/docs/test_readme.py", "add these to the table of settings"),
        (
            "service/wares/controllers.py",
            "problems=[WareOrderPlaced]",
            "problems=[]",
            "tests/http/test_openapi.py",
            "list their classes in `problems=` of the handlers",
        ),
    ],
)
def test_omission_is_explained(tree: Tree, path: str, old: str, new: str, test: str, advice: str) -> None:
    text = (tree.path / path).read_text()
    assert old in text
    (tree.path / path).write_text(text.replace(old, new))

    said = tree.fail("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", test)

    assert advice in said
