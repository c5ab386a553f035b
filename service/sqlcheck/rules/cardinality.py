"""The number of rows that a query can return, compared with its header."""

from collections.abc import Iterator

from service.postgres import Cardinality
from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.description import Description
from service.sqlcheck.analysis.max_rows import is_bounded, returns_at_most_one
from service.sqlcheck.analysis.min_rows import returns_at_least_one
from service.sqlcheck.analysis.node_tree import walk
from service.sqlcheck.analysis.query_parts import joined_relations
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.findings import Finding, finding_at

SCALAR = {pg.ROW_COMPARISON, pg.EXPRESSION, pg.ASSIGNMENT}
ONE_ROW = {Cardinality.ONE, Cardinality.VALUE}


def check_cardinality(description: Description) -> Iterator[Finding]:
    """Find a `one`, `maybe` or `value` that can return several rows, or none, and a `many` that nothing limits."""
    statement, scope = description.statement, description.scope
    if problem := _problem(description):
        yield finding_at(statement, statement.returns_line, problem, "cardinality")
    for subquery in _scalar_subqueries(scope) if scope else ():
        if not returns_at_most_one(subquery):
            first = min(joined_relations(subquery.query.jointree), default=0)
            name = subquery.relation(first).eref.aliasname if first else ""
            line = description.parsed.line_of_table(name, by_alias=True)
            sentence = "a subquery used as a value can return several rows: fix a unique key, or write `limit 1`"
            yield finding_at(statement, line, sentence, "cardinality")
    # `limit null` limits nothing.
    limit = scope.query.limitCount if scope else None
    is_optional = scope and limit and not description.nullability.expression(scope, limit).never_null
    if statement.cardinality == Cardinality.MANY and scope and (is_optional or not is_bounded(scope)):
        why = "its limit can be null" if is_optional else "nothing limits how many"
        sentence = f"returns many, and {why}: write `limit $n`, or say 'unlimited: ok reason'"
        yield finding_at(statement, statement.returns_line, sentence, "unlimited")


def _scalar_subqueries(scope: Scope) -> Iterator[Scope]:
    """Yield the subqueries of a query that PostgreSQL rejects if they return several rows."""
    for node, level in walk([*scope.query.fields.values()]):
        if level == 0 and node.label == "SUBLINK" and node.subLinkType in SCALAR:
            yield scope.child(node.subselect)
    for inner in scope.nested():
        yield from _scalar_subqueries(inner)


def _problem(description: Description) -> str:
    statement, scope = description.statement, description.scope
    if statement.cardinality not in ONE_ROW | {Cardinality.MAYBE}:
        return ""
    says = f"returns {statement.cardinality}, and"
    if scope is None or not returns_at_most_one(scope):
        return f"{says} several rows are possible: fix a unique key, write `limit 1`, or say 'cardinality: ok reason'"
    certain = returns_at_least_one(scope, description.nullability, valid_session=statement.checks_session)
    if statement.cardinality in ONE_ROW and not certain:
        return f"{says} no row is possible: return maybe, or say 'cardinality: ok reason'"
    return ""
