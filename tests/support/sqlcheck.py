"""The names of the checks, and their commands, run in this process."""

import ast
from functools import cache

from click.testing import CliRunner, Result

from service.cli import main
from tests.support.processes import ROOT

# Functions that create findings, and the position of the check's name in their arguments.
MAKERS = {"finding_at": -1, "Finding": -1, "_find": 0, "find": 0, "from_error": 0}


def invoke(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, ["sql", *arguments], env={"SQL_RAN": None}, catch_exceptions=False)


@cache
def check_names() -> frozenset[str]:
    """Return the names of the checks in the code of `sql check`."""
    trees = (ast.parse(path.read_text("utf-8")) for path in (ROOT / "service/sqlcheck").rglob("*.py"))
    values = [each for tree in trees for node in ast.walk(tree) for each in _given(node)]
    return frozenset(each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str))


def _given(node: ast.AST) -> list[ast.expr]:
    """Return the argument that can be a check's name."""
    if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple):  # a problem, which becomes a finding
        return node.value.elts[:1]
    if not isinstance(node, ast.Call):
        return []
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    given = [node.args[MAKERS[name]]] if name in MAKERS and node.args else []
    return given + [keyword.value for keyword in node.keywords if keyword.arg == "check"]
