"""Cross joins: relations of a query that no condition connects."""

from collections.abc import Iterator

from service.sqlcheck.analysis.description import Description
from service.sqlcheck.analysis.max_rows import FunctionalDependencies
from service.sqlcheck.analysis.query_parts import joined_relations
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.findings import Problem


def find_cross_joins(description: Description) -> Iterator[Problem]:
    """Find pairs of relations that are joined without a condition."""
    for scope in description.scope.with_nested() if description.scope else ():
        for one, other in _pairs(scope):
            sentence = f"no condition connects {other} with {one}: each row of one is joined to each row of the other"
            yield "cross-join", description.parsed.line_of_table(other, by_alias=True), sentence


def _pairs(scope: Scope) -> Iterator[tuple[str, str]]:
    """Yield the names of unconnected relations of a query."""
    dependencies = FunctionalDependencies(scope, bounded=True)
    relations = joined_relations(scope.query.jointree)
    groups = [{number} for number in relations]
    for links in _links(scope, relations):
        joined = [group for group in groups if group & links]
        if joined:
            groups = [*(group for group in groups if not group & links), set().union(*joined)]
    apart = [min(group) for group in groups if not group & dependencies.single_row]
    for other in sorted(apart)[1:]:
        yield _name(scope, min(apart)), _name(scope, other)


def _links(scope: Scope, relations: list[int]) -> Iterator[set[int]]:
    """Yield the sets of relations that a condition or a lateral reference connects."""
    for condition, _ in scope.joins.conditions():
        parts = condition.args if condition is not None and condition.label == "BOOLEXPR" else [condition]
        for part in parts:
            yield scope.relations_in(part)
    for number in relations:
        relation = scope.relation(number)
        sources = [relation.functions, relation.subquery, relation.tablefunc]
        yield {number} | scope.relations_in(sources)


def _name(scope: Scope, number: int) -> str:
    return str(scope.relation(number).eref.aliasname)
