"""The texts that a CHECK allows in a column: ``check (kind in ('cat', 'dog'))``."""

from typing import TYPE_CHECKING

from service.sqlcheck import calls
from service.sqlcheck.cardinality import bare, origin
from service.sqlcheck.node_tree import Node, type_of, walk
from service.sqlcheck.scope import CASTS, conjuncts

if TYPE_CHECKING:
    from service.sqlcheck.description import Description

COLUMN, VALUES = {"VAR", "COERCETODOMAINVALUE"}, {"CONST", "ARRAYEXPR", "CASETESTEXPR"}


def allowed_values(description: "Description", number: int) -> set[str]:
    """Return what the checks of a result's column (from 1), or of its domain, allow; nothing if that is any text."""
    scope = description.scope
    if scope is None or scope.query.setOperations or len(scope.targets) != len(description.columns):
        return set()
    expression = bare(scope.targets[number - 1].expr)
    places = [(type_of(expression), 0)]
    if expression.label == "VAR" and (column := origin(scope, expression, written=True)):
        places.append(column)
    checks = [check for place in places for check in scope.catalogue.checks.get(place, [])]
    found = [_values(each, scope.catalogue.equalities) for check in checks for each in conjuncts(check)]
    return next((values for values in found if values), set())


def _values(condition: Node, equalities: set[int]) -> set[str]:
    """Return the texts that a condition compares a column with, if it holds for no other."""
    if condition.label == "BOOLEXPR" and condition.boolop == "or":
        arms = [_values(each, equalities) for each in condition.args]
        return set().union(*arms) if all(arms) else set()
    equal = condition.label == "OPEXPR" or (condition.label == "SCALARARRAYOPEXPR" and condition.useOr)
    if not equal or condition.opno not in equalities:
        return set()
    column, values = ([node for node, _ in walk(side)] for side in condition.args)
    if {node.label for node in column} <= COLUMN | CASTS and {node.label for node in values} <= VALUES | CASTS:
        return {calls.text(node) for node in values if node.label == "CONST"}
    return set()
