"""What a schema decides about one query: types, nulls, rows, joins, writes and plans."""

from collections.abc import Collection, Iterator

from pglast.parser import ParseError

from service.postgres import Statement
from service.sqlcheck import columns, joins, null_checks, plans, rows, writes
from service.sqlcheck.code import QueryReference
from service.sqlcheck.description import Describer, Description, RefusedError
from service.sqlcheck.findings import Finding, finding_at


def describe(describer: Describer, statement: Statement) -> Description | Finding:
    """Return what PostgreSQL says of a statement, or how it refuses it."""
    try:
        return describer.describe(statement)
    except RefusedError as error:
        return finding_at(statement, error.line, str(error), "refused")
    except ParseError as error:  # a word that this PostgreSQL knows, and the parser of another release does not
        return finding_at(statement, 1, f"pglast cannot parse it: {error.args[0]}", "refused")


def check_schema(
    describer: Describer, description: Description, references: Collection[QueryReference]
) -> Iterator[Finding]:
    """Check what a schema decides about a query."""
    yield from columns.check_parameters(description, describer.types)
    readers: list[QueryReference | None] = [*references]
    for reference in readers or [None]:
        yield from columns.check_columns(description, reference, describer.types)
        yield from null_checks.check_nullability(description, reference)
    yield from columns.find_naive_timestamps(description, references)
    yield from rows.check_rows(description)
    yield from writes.check_writes(description)
    yield from joins.find_cross_joins(description)
    yield from plans.find_sequential_scans(description)
