"""Arrays of arrays: PostgreSQL gives them the type of an array, but asyncpg returns them as lists of lists."""

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.query_parts import joined_relations
from service.sqlcheck.analysis.query_tree import CASTS, Node, constant_bytes, type_of
from service.sqlcheck.analysis.scope import Scope


def makes_nested(scope: Scope, node: Node) -> bool:
    """Return whether an expression makes an array of arrays."""
    match node.label:
        case "ARRAYEXPR":
            return bool(node.multidims)
        case "AGGREF" | "WINDOWFUNC":
            return scope.catalogue.functions[node.aggfnoid or node.winfnoid].signature == "array_agg(anyarray)"
        case "SUBLINK" if node.subLinkType == pg.ARRAY:
            inner = scope.child(node.subselect)
            return _is_array(inner, inner.targets[0].expr)
        case _:
            return False


def _is_array(scope: Scope, node: Node) -> bool:
    if node.subLinkType == pg.EXPRESSION:
        inner = scope.child(node.subselect)
        return _is_array(inner, inner.targets[0].expr)
    return node.subLinkType == pg.ARRAY or type_of(node) in scope.catalogue.arrays


def column_levels(scope: Scope, position: int, *, is_recursive: bool = False) -> int:
    """Return how many levels of lists there are inside the array in a column (from 0) of a query's result."""
    if not scope.query.setOperations:
        return levels_below(scope, scope.targets[position].expr)
    queries = [scope.child(scope.relation(each).subquery) for each in joined_relations(scope.query.setOperations)]
    # The later queries of a recursive one refer to itself.
    return max([column_levels(each, position) for each in (queries[:1] if is_recursive else queries)])


def levels_below(scope: Scope, node: Node) -> int:
    """Return how many levels of lists there are inside an array; 0 if the query does not show more."""
    inner = scope
    match node.label:
        case "CONST" if node.constvalue and type_of(node) in scope.catalogue.arrays:
            return max(constant_bytes(node)[4], 1) - 1  # after its length, the number of its dimensions
        case "FUNCEXPR" if type_of(node) in scope.catalogue.arrays and (body := scope.function_body(node)):
            return column_levels(body, 0)
        case "PARAM" if not node.paramkind and (argument := scope.argument(node)):
            return levels_below(*argument)
        case "SUBLINK" if node.subLinkType in {pg.ARRAY, pg.EXPRESSION}:
            return makes_nested(scope, node) + column_levels(scope.child(node.subselect), 0)
        case "VAR" if node.varattno > 0:
            around = scope.ancestor(node.varlevelsup)
            inner, shown = around.shown_expression(node)
            position = around.position(node.varno, node.varattno)
            if position is not None:
                return column_levels(inner, position, is_recursive=around.is_recursive(node.varno))
            rows = around.relation(node.varno).values_lists or []
            parts = [shown] if shown else [row[node.varattno - 1] for row in rows]
        case _:
            parts = _parts(scope, node)
    deepest = 0
    for part in parts:  # not max() of a generator: that would exceed Python 3.12's limit on nested calls from C
        deepest = max(deepest, levels_below(inner, part))
    return makes_nested(scope, node) + deepest


def _parts(scope: Scope, node: Node) -> list[Node]:  # noqa: PLR0911 - one return per case
    """Return the operands of an expression that have as many levels as its result, or one less."""
    match node.label:
        case "ARRAYEXPR":
            return node.elements or []
        case "COALESCEEXPR" | "MINMAXEXPR" | "NULLIFEXPR" | "OPEXPR" | "WINDOWFUNC":
            return node.args or []
        case "FUNCEXPR" if scope.catalogue.builtin_name(node.funcid) and type_of(node) in scope.catalogue.arrays:
            return [each for each in node.args or [] if type_of(each) in scope.catalogue.arrays]
        case "CASEEXPR":
            return [*(each.result for each in node.args), node.defresult]
        case "SUBSCRIPTINGREF" if node.reflowerindexpr:
            return [node.refexpr]
        case "AGGREF":
            return [*(each.expr for each in node.args or []), *(node.aggdirectargs or [])]
        case label if label in CASTS:
            return [node.arg]
        case _:
            return []
