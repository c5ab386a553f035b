"""Rows: how many a query can return, against what its header says."""

from collections.abc import Iterator

from service.postgres import Cardinality
from service.sqlcheck.cardinality import at_most_one
from service.sqlcheck.description import Description
from service.sqlcheck.findings import Finding, finding_at, unless_accepted
from service.sqlcheck.guaranteed_rows import at_least_one

ONE_ROW = {Cardinality.ONE, Cardinality.VALUE}


def check_rows(description: Description) -> Iterator[Finding]:
    """Find a `one`, `maybe` or `value` that may return more rows, or none, and a `many` that nothing limits."""
    statement, scope = description.statement, description.scope
    complaint = _complaint(description)
    number = [finding_at(statement, statement.returns_line, complaint, "cardinality")] if complaint else []
    yield from unless_accepted(statement, "cardinality", number)
    unlimited = statement.cardinality == Cardinality.MANY and scope and not at_most_one(scope, few=True)
    sentence = "returns many, and nothing limits how many: write `limit $n`, or say 'unlimited: ok reason'"
    limits = [finding_at(statement, statement.returns_line, sentence, "unlimited")] if unlimited else []
    yield from unless_accepted(statement, "unlimited", limits)


def _complaint(description: Description) -> str:
    statement, scope = description.statement, description.scope
    if statement.cardinality not in ONE_ROW | {Cardinality.MAYBE}:
        return ""
    says = f"returns {statement.cardinality}, and"
    if scope is None or not at_most_one(scope):
        return f"{says} several rows are possible: fix a unique key, write `limit 1`, or say 'cardinality: ok reason'"
    certain = at_least_one(scope, description.judge, of_session=statement.checks_session)
    if statement.cardinality in ONE_ROW and not certain:
        return f"{says} no row is possible: return maybe, or say 'cardinality: ok reason'"
    return ""
