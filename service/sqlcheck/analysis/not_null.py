"""The columns, and the other expressions, in which a condition excludes nulls.

After `where toy.price > 1`, toy.price is not null, and no outer join has left toy without a matching row. Columns go
to `joins` and `assumptions`, which know the outer joins and CASE; other expressions to `Scope.not_null_expressions`.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.query_tree import CASTS, Node, same

if TYPE_CHECKING:
    from service.sqlcheck.analysis.scope import Scope

# The number of a relation in the query, the number of its column, and which row is meant: DEFAULT, OLD or NEW.
# For a parameter, 0 and its number.
Variable = tuple[int, int, int]


def as_variable(node: Node) -> Variable:
    """Return the column (`old.x` and `new.x` are two) or the parameter that a node stands for."""
    if node.label == "PARAM":
        return 0, node.paramid, pg.DEFAULT
    return node.varno, node.varattno, node.varreturningtype or pg.DEFAULT


def not_null_if_true(scope: "Scope", condition: Any) -> set[Variable]:  # noqa: ANN401 - a node, or None
    """Return the columns that cannot be null if a condition is true."""
    match condition.label if condition else "":
        case "BOOLEXPR" if condition.boolop == "and":
            return set().union(*(not_null_if_true(scope, each) for each in condition.args))
        case "BOOLEXPR" if condition.boolop == "or":
            return set.intersection(*(not_null_if_true(scope, each) for each in condition.args))
        case "BOOLEXPR":
            return not_null_if_false(scope, condition.args[0]) | _columns(_parts(scope, condition))
        case _:
            return _columns(parts_not_null_if_true(scope, condition))


def parts_not_null_if_true(scope: "Scope", condition: Any) -> Iterator[Node]:  # noqa: ANN401 - a node, or None
    """Yield the expressions that cannot be null if a condition, which is no `and` or `or`, is true."""
    match condition.label if condition else "":
        case "NULLTEST":
            tested = [condition.arg] if condition.nulltesttype == pg.IS_NOT_NULL else []
        case "BOOLEANTEST":
            tested = [condition.arg] if condition.booltesttype in {pg.IS_TRUE, pg.IS_FALSE, pg.IS_NOT_UNKNOWN} else []
        case "SCALARARRAYOPEXPR":
            array = condition.args[1]  # `<> all` of no elements is true of null, too
            compares = condition.useOr or (array.elements and not array.multidims)
            tested = condition.args[:1] if compares and _is_strict(scope, condition.opno) else []
        case "SUBLINK":
            tested = [condition.testexpr] if condition.subLinkType == pg.ANY else []
        case "ROWCOMPAREEXPR":  # the later pairs count only if the first are equal
            tested = [condition.largs[0], condition.rargs[0]]
        case "OPEXPR" if condition.opno in scope.catalogue.unequal:
            tested = [condition, *_replaced(scope, *condition.args), *_replaced(scope, *condition.args[::-1])]
        case _:
            tested = [condition]
    for each in tested:
        yield from _parts(scope, each)


def _replaced(scope: "Scope", one: Node, other: Node) -> list[Node]:
    """Return `x` if an inequality compares `coalesce(x, other)` with `other`: for a null, it compares equal values."""
    values = one.args if one.label == "COALESCEEXPR" else []
    return values[:1] if len(values) == 2 and same(values[1], other) and not scope.is_volatile(other) else []  # noqa: PLR2004


def not_null_if_false(scope: "Scope", condition: Node) -> set[Variable]:
    """Return the columns that cannot be null if a condition is not true: after `when x is null`, x."""
    match condition.label:
        case "NULLTEST":
            return _columns(_parts(scope, condition.arg)) if condition.nulltesttype == pg.IS_NULL else set()
        case "BOOLEXPR" if condition.boolop == "or":
            return set().union(*(not_null_if_false(scope, each) for each in condition.args))
        case _:
            return set()


def _parts(scope: "Scope", node: Any) -> Iterator[Node]:  # noqa: ANN401 - a node, or None
    """Yield the expressions that cannot be null if one is not null: itself, and what it is computed from."""
    match node.label if node else "":
        case "":
            return
        case "VAR":
            parts = [scope.aliased_expression(node)] if not node.varlevelsup and scope.is_aliased(node) else []
        case "OPEXPR" if _is_strict(scope, node.opno):
            parts = node.args
        case "FUNCEXPR" if scope.catalogue.functions[node.funcid].is_strict:
            parts = node.args or []
        case "BOOLEXPR" if node.boolop == "not":
            parts = node.args
        case "NULLIFEXPR":
            parts = node.args[:1]
        case label if label in CASTS:
            parts = [node.arg]
        case _:
            parts = []
    yield node
    for each in parts:
        yield from _parts(scope, each)


def _columns(parts: Iterable[Node]) -> set[Variable]:
    """Return the columns of this query, and the parameters, among some expressions."""
    own = [each for each in parts if each.label in {"VAR", "PARAM"} and not (each.varlevelsup or each.paramkind)]
    return {as_variable(each) for each in own}


def _is_strict(scope: "Scope", operator: int) -> bool:
    return scope.catalogue.functions[scope.catalogue.operators[operator]].is_strict
