"""All checks of one query, except `one_shard` and `scale`, which need more than its description."""

from collections.abc import Collection, Iterator

from pglast.parser import ParseError

from service.postgres import ACCEPTABLE_CHECKS, Statement
from service.sqlcheck.analysis.description import Describer, Description
from service.sqlcheck.analysis.refusal import RefusedError
from service.sqlcheck.code import QueryReference
from service.sqlcheck.findings import Finding, Problem, finding_at, findings_of
from service.sqlcheck.rules import (
    allowed_values,
    cardinality,
    columns,
    cross_joins,
    hygiene,
    null_checks,
    plans,
    writes,
)

# The header can accept these findings of check_query().
ACCEPTABLE = {*ACCEPTABLE_CHECKS} - {"one-shard", "scale"}


def describe(describer: Describer, statement: Statement) -> Description | Finding:
    """Return PostgreSQL's description of a statement, or a finding if it rejects the statement."""
    try:
        return describer.describe(statement)
    except RefusedError as error:
        return error.finding
    except ParseError as error:  # the server and the parser are of different releases
        return finding_at(statement, 1, f"pglast cannot parse the statement: {error.args[0]}", "refused")


def check_query(description: Description, references: Collection[QueryReference]) -> Iterator[Finding]:
    """Run the checks of a query.

    :param references: the places in the code that use the query
    """
    return findings_of(description.statement, _problems(description, references), ACCEPTABLE)


def _problems(description: Description, references: Collection[QueryReference]) -> Iterator[Problem]:
    yield from hygiene.check_hygiene(description)
    rows = [*dict.fromkeys(reference.row for reference in references)]
    yield from columns.check_parameters(description)
    for row in rows or [None]:
        yield from columns.check_columns(description, row)
        yield from columns.find_naive_timestamps(description, row)
        yield from null_checks.check_nullability(description, row)
    yield from null_checks.find_not_in(description)
    yield from cardinality.check_cardinality(description)
    yield from writes.check_writes(description)
    yield from allowed_values.find_disallowed_values(description)
    yield from cross_joins.find_cross_joins(description)
    yield from plans.find_sequential_scans(description)
