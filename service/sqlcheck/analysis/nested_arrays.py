"""Arrays of arrays: PostgreSQL gives them the type of an array, but asyncpg returns them as lists of lists."""

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.node_tree import CASTS, Node, type_of
from service.sqlcheck.analysis.scope import Scope


def makes_nested(scope: Scope, node: Node) -> bool:
    """Return whether an expression makes an array of arrays."""
    match node.label:
        case "ARRAYEXPR":
            return bool(node.multidims)
        case "AGGREF" | "WINDOWFUNC":
            return scope.catalogue.functions[node.aggfnoid or node.winfnoid].signature == "array_agg(anyarray)"
        case "SUBLINK" if node.subLinkType == pg.ARRAY:
            return type_of(scope.child(node.subselect).targets[0].expr) in scope.catalogue.arrays
        case _:
            return False


def levels_below(scope: Scope, node: Node) -> int:
    """Return how many levels of lists there are inside an array; 0 if the query does not show more."""
    inner = scope
    parts: list[Node] = []
    match node.label:
        case "ARRAYEXPR":
            parts = node.elements or []
        case "COALESCEEXPR" | "MINMAXEXPR" | "NULLIFEXPR" | "OPEXPR" | "WINDOWFUNC":
            parts = node.args or []
        case "CASEEXPR":
            parts = [*(each.result for each in node.args), node.defresult]
        case "SUBSCRIPTINGREF" if node.reflowerindexpr:
            parts = [node.refexpr]
        case "AGGREF":
            parts = [each.expr for each in node.args or []]
        case "SUBLINK" if node.subLinkType in {pg.ARRAY, pg.EXPRESSION}:
            inner = scope.child(node.subselect)
            parts = [inner.targets[0].expr]
        case "VAR":
            around = scope.ancestor(node.varlevelsup)
            inner, shown = around.shown_expression(node)
            position = around.position(node.varno, node.varattno)
            found = shown if position is None else inner.targets[position].expr  # of a set operation, its first query's
            parts = [found] if found else []
        case label if label in CASTS:
            parts = [node.arg]
        case _:
            pass
    deepest = 0
    for part in parts:  # not max() of a generator: that would exceed Python 3.12's limit on nested calls from C
        deepest = max(deepest, levels_below(inner, part))
    return makes_nested(scope, node) + deepest
