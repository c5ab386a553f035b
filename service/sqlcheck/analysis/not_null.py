"""The columns in which a condition excludes nulls.

After `where toy.price > 1`, toy.price is not null, and no outer join has left toy without a matching row.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.node_tree import CASTS, Node

if TYPE_CHECKING:
    from service.sqlcheck.analysis.scope import Scope

# The number of a relation in the query, the number of its column, and which row is meant: DEFAULT, OLD or NEW.
Variable = tuple[int, int, int]


def as_variable(node: Node) -> Variable:
    """Return what a VAR stands for: `old.x` and `new.x` differ."""
    return node.varno, node.varattno, node.varreturningtype or pg.DEFAULT


def not_null_if_true(scope: "Scope", condition: Any) -> set[Variable]:  # noqa: ANN401, PLR0911 - a node, or None; one return per case
    """Return the columns that cannot be null if a condition is true."""
    match condition.label if condition else "":
        case "BOOLEXPR" if condition.boolop == "and":
            return set().union(*(not_null_if_true(scope, each) for each in condition.args))
        case "BOOLEXPR" if condition.boolop == "or":
            return set.intersection(*(not_null_if_true(scope, each) for each in condition.args))
        case "NULLTEST":
            return _not_null_in(scope, condition.arg) if condition.nulltesttype == pg.IS_NOT_NULL else set()
        case "BOOLEANTEST":
            excludes_null = condition.booltesttype in {pg.IS_TRUE, pg.IS_FALSE, pg.IS_NOT_UNKNOWN}
            return _not_null_in(scope, condition.arg) if excludes_null else set()
        case "SCALARARRAYOPEXPR":
            is_strict = condition.useOr and _is_strict(scope, condition.opno)
            return _not_null_in(scope, condition.args[0]) if is_strict else set()
        case "SUBLINK":
            return _not_null_in(scope, condition.testexpr) if condition.subLinkType == pg.ANY else set()
        case _:
            return _not_null_in(scope, condition)


def not_null_if_false(scope: "Scope", condition: Node) -> set[Variable]:
    """Return the columns that cannot be null if a condition is not true: after `when x is null`, x."""
    match condition.label:
        case "NULLTEST":
            return _not_null_in(scope, condition.arg) if condition.nulltesttype == pg.IS_NULL else set()
        case "BOOLEXPR" if condition.boolop == "or":
            return set().union(*(not_null_if_false(scope, each) for each in condition.args))
        case _:
            return set()


def _not_null_in(scope: "Scope", node: Any) -> set[Variable]:  # noqa: ANN401 - a node, or None
    """Return the columns that cannot be null if an expression is not null."""
    match node.label if node else "":
        case "VAR":
            return _column(scope, node)
        case "OPEXPR" if _is_strict(scope, node.opno):
            return _not_null_in_all(scope, node.args)
        case "FUNCEXPR" if (function := scope.catalogue.functions.get(node.funcid)) and function.is_strict:
            return _not_null_in_all(scope, node.args)
        case "BOOLEXPR" if node.boolop == "not":
            return _not_null_in_all(scope, node.args)
        case label if label in CASTS:
            return _not_null_in(scope, node.arg)
        case _:
            return set()


def _not_null_in_all(scope: "Scope", nodes: Iterable[Node] | None) -> set[Variable]:
    return set().union(*(_not_null_in(scope, each) for each in nodes or []))


def _column(scope: "Scope", variable: Node) -> set[Variable]:
    """Return the column of this query that a variable stands for."""
    if variable.varlevelsup:
        return set()
    if scope.relation(variable.varno).rtekind in {pg.JOIN, pg.GROUP} and variable.varattno > 0:
        return _not_null_in(scope, scope.aliased_expression(variable))
    return {as_variable(variable)}


def _is_strict(scope: "Scope", operator: int) -> bool:
    function = scope.catalogue.functions.get(scope.catalogue.operators.get(operator, 0))
    return bool(function and function.is_strict)
