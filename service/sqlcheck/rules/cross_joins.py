"""Cross joins: relations of a query that no condition connects."""

from collections.abc import Iterator

from service.sqlcheck.analysis.description import Description
from service.sqlcheck.analysis.max_rows import FunctionalDependencies
from service.sqlcheck.analysis.query_parts import joined_relations
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.findings import Problem


def find_cross_joins(description: Description) -> Iterator[Problem]:
    """Find relations that are joined without a condition."""
    for scope in description.scope.with_nested() if description.scope else ():
        names = [str(scope.relation(number).eref.aliasname) for number in _unconnected(scope)]
        for name in names[1:]:
            what = f"no condition connects {name} with {names[0]}"
            sentence = f"{what}: each row of one is joined to each row of the other"
            yield "cross-join", description.parsed.line_of_table(name, by_alias=True), sentence


def _unconnected(scope: Scope) -> list[int]:
    """Return the first relation of each group that no condition connects with the others, if it can have many rows."""
    dependencies = FunctionalDependencies(scope, bounded=True)
    relations = joined_relations(scope.query.jointree)
    groups = [{number} for number in relations]
    for links in _links(scope, relations):
        joined = [group for group in groups if group & links]
        if joined:
            groups = [*(group for group in groups if not group & links), set().union(*joined)]
    return sorted(min(group) for group in groups if not group & dependencies.single_row)


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
