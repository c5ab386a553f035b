"""Every finding has its section in docs/checks.md, and every section its finding."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.processes import ROOT

HEADING = re.compile(r"^### (.+)$", re.MULTILINE)
SECTIONS = re.split(HEADING, (ROOT / "docs/checks.md").read_text("utf-8"))
# Functions that create findings, and the position of the check's name in their arguments.
MAKERS = {"finding_at": -1, "Finding": -1, "_find": 0, "find": 0, "from_error": 0}


def checks() -> Iterator[str]:
    """Yield the names of the checks in the code of `sql check`."""
    for path in (ROOT / "service/sqlcheck").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            values = (each.value for each in _given(node) if isinstance(each, ast.Constant))
            yield from (value for value in values if isinstance(value, str))


def _given(node: ast.AST) -> list[ast.expr]:
    """Return the argument that can be a check's name."""
    if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple):  # in locks.py, before its message
        return node.value.elts[:1]
    if not isinstance(node, ast.Call):
        return []
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    given = [node.args[MAKERS[name]]] if name in MAKERS and node.args else []
    return given + [keyword.value for keyword in node.keywords if keyword.arg == "check"]


def test_every_finding_is_explained() -> None:
    explained = [name for heading in SECTIONS[1::2] for name in heading.split(", ")]

    assert sorted(explained) == sorted(set(checks()))


@pytest.mark.parametrize(("heading", "text"), list(zip(SECTIONS[1::2], SECTIONS[2::2], strict=True)))
def test_every_explanation_says_how_to_fix_it(heading: str, text: str) -> None:
    assert "*Fix:*" in text, heading
