"""Cross joins: relations of a query that no condition connects."""

from collections.abc import Iterator

from pglast import ast

from service.sqlcheck.cardinality import Determined
from service.sqlcheck.description import Description
from service.sqlcheck.findings import Finding, finding_at, unless_accepted
from service.sqlcheck.node_tree import Node, walk
from service.sqlcheck.scope import JOIN, MERGE, Scope


def find_cross_joins(description: Description) -> Iterator[Finding]:
    """Find pairs of relations of which each row of one meets each of the other, unless the header accepts them."""
    yield from unless_accepted(description.statement, "cross-join", _cross_joins(description))


def _cross_joins(description: Description) -> Iterator[Finding]:
    for one, other in _pairs(description.scope) if description.scope else ():
        sentence = f"no condition connects {other} with {one}: each row of one meets each of the other"
        yield finding_at(description.statement, _line(description, other), sentence, "cross-join")


def _pairs(scope: Scope) -> Iterator[tuple[str, str]]:
    """Yield the names of relations that nothing connects, here and in the queries inside."""
    for node, level in walk([*scope.query.fields.values()]):
        if node.label == "QUERY" and level == 0:
            yield from _pairs(scope.child(node))
    if scope.query.commandType == MERGE or not scope.query.jointree:
        return
    determined = Determined(scope, frozenset(), few=True)
    groups = [{number} for number in determined.relations]
    for links in _links(scope, determined.relations):
        joined = [group for group in groups if group & links]
        if joined:
            groups = [*(group for group in groups if not group & links), set().union(*joined)]
    apart = [min(group) for group in groups if not group & determined.single]
    for other in sorted(apart)[1:]:
        yield _name(scope, min(apart)), _name(scope, other)


def _links(scope: Scope, relations: list[int]) -> Iterator[set[int]]:
    for condition, _ in scope.conditions():
        parts = condition.args if condition is not None and condition.label == "BOOLEXPR" else [condition]
        for part in parts:
            yield _relations(scope, part)
    for number in relations:  # lateral
        relation = scope.relation(number)
        yield {number} | _relations(scope, relation.functions) | _relations(scope, relation.subquery)


def _relations(scope: Scope, part: Node | None) -> set[int]:
    """Return the relations of this query that an expression, or a query in it, refers to."""
    found: set[int] = set()
    for node, level in walk(part):
        if node.label == "VAR" and node.varlevelsup == level:
            through = scope.relation(node.varno).rtekind == JOIN and node.varattno > 0
            found |= _relations(scope, scope.meant(node)) if through else {node.varno}
    return found


def _name(scope: Scope, number: int) -> str:
    return str(scope.relation(number).eref.aliasname)


def _line(description: Description, name: str) -> int:
    for node in description.parsed.nodes:
        if isinstance(node, ast.RangeVar) and name == (node.alias.aliasname if node.alias else node.relname):
            return description.parsed.line_of(node)
    return description.parsed.line
