"""The number of rows that a query can return, compared with its header."""

from collections.abc import Iterator

from service.postgres import Cardinality
from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.description import Description
from service.sqlcheck.analysis.max_rows import is_bounded, returns_at_most_one
from service.sqlcheck.analysis.min_rows import returns_at_least_one
from service.sqlcheck.analysis.session_need import needs_session
from service.sqlcheck.findings import Problem

SCALAR = {pg.ROW_COMPARISON, pg.EXPRESSION, pg.ASSIGNMENT}
ONE_ROW = {Cardinality.ONE, Cardinality.VALUE}


def check_cardinality(description: Description) -> Iterator[Problem]:
    """Find a `one`, `maybe` or `value` that can return several rows, or none, and a `many` that nothing limits."""
    statement, scope = description.statement, description.scope
    for problem in filter(None, (_problem(description), _session_problem(description))):
        yield "cardinality", statement.returns_line, problem
    for around, node in scope.nodes() if scope else ():
        if node.subLinkType in SCALAR:
            subquery = around.child(node.subselect)
            if not returns_at_most_one(subquery):
                sentence = "a subquery used as a value can return several rows"
                advice = "compare a unique key with `=`, or write `limit 1`"
                yield "cardinality", description.line_of(subquery), f"{sentence}: {advice}"
    # `limit null` limits nothing.
    limit = scope.query.limitCount if scope else None
    is_optional = scope and limit and not description.nullability.expression(scope, limit).never_null
    if statement.cardinality == Cardinality.MANY and scope and (is_optional or not is_bounded(scope)):
        why = "its limit can be null" if is_optional else "nothing limits how many"
        sentence = f"returns many, and {why}: write `limit $n`, or say 'unlimited: ok reason'"
        yield "unlimited", statement.returns_line, sentence


def _problem(description: Description) -> str:
    statement, scope = description.statement, description.scope
    cardinality = statement.cardinality
    if cardinality == Cardinality.COUNT:
        return ""
    says = f"returns {cardinality}, and"
    if cardinality != Cardinality.MANY and (scope is None or not returns_at_most_one(scope)):
        advice = "compare a unique key with `=`, write `limit 1`, or say 'cardinality: ok reason'"
        return f"{says} several rows are possible: {advice}"
    if scope is None or returns_at_least_one(scope, description.nullability, valid_session=statement.checks_session):
        return ""
    if cardinality in ONE_ROW:
        return f"{says} no row is possible: return maybe, or say 'cardinality: ok reason'"
    if statement.checks_session:
        advice = "write `left join`, or say 'cardinality: ok reason'"
        return f"{says} no row is possible for a valid session, which is 401: {advice}"
    return ""


def _session_problem(description: Description) -> str:
    """Return what a query does although the caller's session has ended."""
    statement, scope = description.statement, description.scope
    if scope is None or not statement.checks_session:
        return ""
    advice = "select from live_session outside aggregates and outer joins, or say 'cardinality: ok reason'"
    if statement.cardinality != Cardinality.COUNT and not needs_session(scope):
        return f"returns {statement.cardinality}, and a row is possible after the session has ended: {advice}"
    writes = (each for each in scope.with_nested() if each.query.resultRelation)
    return "" if all(map(needs_session, writes)) else f"writes after the session has ended: {advice}"
