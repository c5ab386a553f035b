"""Nulls: what the class and the header allow, against what the query can return."""

from collections.abc import Iterator

import attrs

from service.postgres import Cardinality, Marker, Statement
from service.sqlcheck.cardinality import bare, origin, single_row
from service.sqlcheck.code import QueryReference
from service.sqlcheck.description import Column, Description
from service.sqlcheck.findings import Finding, finding_at
from service.sqlcheck.json_fields import parts
from service.sqlcheck.nullability import UNKNOWN, Nullability
from service.sqlcheck.row_classes import Annotation, Row


@attrs.frozen
class _Expected:
    """What a column becomes: `owner` is the class that says so."""

    owner: str
    optional: bool
    optional_elements: bool


def column_nullability(description: Description) -> list[Nullability]:
    """Judge each column of the result, as it is in a row: of nothing, no row is made."""
    found = _of_query(description)
    return [_in_a_row(description, each) for each in found]


def _in_a_row(description: Description, nulls: Nullability) -> Nullability:
    """Leave out of a column, or of a part of it, what makes the first column null, for then no row is made."""
    if not (_can_be_nothing(description.statement) and _shows_a_column(description)):
        return nulls
    nothing = _of_query(description)[0].joins
    return attrs.evolve(
        nulls, joins=frozenset(joins for joins in nulls.joins if not any(none <= joins for none in nothing))
    )


def check_nullability(description: Description, reference: QueryReference | None) -> Iterator[Finding]:
    """Compare what can be null with what class and header say."""
    statement = description.statement
    if _can_be_nothing(statement):
        yield from _check_first_column(description)
    nested = list(_nested(description, reference))
    names = {column.name for column in description.columns} | {column.name for _, column, _, _ in nested}
    for marker in statement.not_null:
        if not {marker.name, marker.name.removesuffix("[]")} & names:
            yield finding_at(statement, marker.line, f"'not null' names {marker.name}, which is no column", "marker")
    expected = _expected(description, reference)
    if not expected or 0 < len(description.parsed.targets()) != len(description.columns):  # `*`: a finding of its own
        return
    judged = column_nullability(description)
    for number, (column, nulls, wanted) in enumerate(zip(description.columns, judged, expected, strict=True), 1):
        yield from _check_column(description, f"column {number}", column, nulls, wanted)
    for number, column, nulls, wanted in nested:
        yield from _check_column(description, f"column {number}", column, nulls, wanted)


def _nested(
    description: Description, reference: QueryReference | None
) -> Iterator[tuple[int, Column, Nullability, _Expected]]:
    """Yield what stands in JSON whose shape is known as if it were a column: ``owner.id``, ``pets[].id``."""
    row = reference.row if reference else None
    if not isinstance(row, Row) or len(row.fields) != len(description.columns):
        return
    for number, (column, field) in enumerate(zip(description.columns, row.fields, strict=True), 1):
        if not field.annotation.of_json or field.converted or not (shape := description.shape(number)):
            continue
        for path, inside, annotation in parts(shape, field.annotation, column.name):
            nulls = _in_a_row(description, inside.nulls)
            nested = Column(path, inside.type or column.type, column.line)
            yield number, nested, nulls, _of_annotation(f"{row.name}.", annotation)


def _of_query(description: Description) -> list[Nullability]:
    if description.scope is None:
        return [UNKNOWN] * len(description.columns)
    return description.judge.columns(description.scope)


def _shows_a_column(description: Description) -> bool:
    """Tell whether the first column is a table's, which is null for sure if an outer join makes it so."""
    if description.scope is None or description.scope.query.setOperations:
        return False
    first = bare(description.scope.targets[0].expr)
    return first.label == "VAR" and origin(description.scope, first, written=True) is not None


def _can_be_nothing(statement: Statement) -> bool:
    """Tell whether a row whose first column is null means that there is nothing."""
    return statement.checks_session and statement.cardinality in {Cardinality.MAYBE, Cardinality.MANY}


def _check_first_column(description: Description) -> Iterator[Finding]:
    """Find what a session's query could lose, because a row that begins with null is none."""
    statement, [first, *_] = description.statement, [*_of_query(description), UNKNOWN]
    if not description.columns or any(marker.name == description.columns[0].name for marker in statement.not_null):
        return
    if first.never:
        return
    name, why = description.columns[0].name, first.itself or "nobody knows whether it is"
    if first.known and not first.itself:
        many = statement.cardinality == Cardinality.MANY
        if not many or all(single_row(join.scope, join.preserved) for join in frozenset().union(*first.joins)):
            return
        why = "an outer join makes it so for some rows alone"
    sentence = (
        f"the row would be lost if {name} is null ({why}): begin with a column that is null only if there is nothing"
    )
    yield finding_at(statement, description.columns[0].line, sentence, "lost-row")


def _expected(description: Description, reference: QueryReference | None) -> list[_Expected]:
    """Return what the columns become; nothing if nobody can tell."""
    row = reference.row if reference else None
    if isinstance(row, Row) and len(row.fields) == len(description.columns):
        return [_of_annotation(f"{row.name}.", field.annotation) for field in row.fields]
    if description.statement.cardinality == Cardinality.VALUE and len(description.columns) == 1:
        nullable = description.statement.row_nullable
        elements = not isinstance(row, Annotation) or row.optional_elements
        return [_Expected("the header's ", nullable, elements)]
    return []


def _of_annotation(owner: str, annotation: Annotation) -> _Expected:
    return _Expected(owner, annotation.optional, annotation.optional_elements)


def _check_column(
    description: Description, what: str, column: Column, nulls: Nullability, expected: _Expected
) -> Iterator[Finding]:
    statement = description.statement
    marker = _marker(statement, column.name)
    if marker and (wrong := _wrong(nulls, optional=expected.optional)):
        yield finding_at(statement, marker.line, f"'not null: {column.name}' {wrong}", "marker")
    if not (marker or expected.optional or nulls.never):
        yield _finding(description, what, column, nulls, expected.owner)
    if column.type.bare.element is None:
        return
    marker = _marker(statement, f"{column.name}[]")
    if marker and (nulls.elements or expected.optional_elements):
        sentence = f"'not null: {column.name}[]' is needless: {'no' if nulls.elements else 'the class allows'} element"
        yield finding_at(statement, marker.line, f"{sentence} {'is null' if nulls.elements else 'None'}", "marker")
    if not (marker or expected.optional_elements or nulls.elements):
        sentence = f"elements of {what} ({column.name}) can be null: write list[… | None], or say "
        yield finding_at(statement, column.line, f"{sentence}'not null: {column.name}[]'", "null-unknown")


def _marker(statement: Statement, name: str) -> Marker | None:
    return next((marker for marker in statement.not_null if marker.name == name), None)


def _wrong(nulls: Nullability, *, optional: bool) -> str:
    if nulls.never:
        return "says what PostgreSQL says anyway: remove it"
    if nulls.known and nulls.joins:
        return "is wrong: an outer join makes it null"
    return "is needless: the class allows None" if optional else ""


def _finding(description: Description, what: str, column: Column, nulls: Nullability, owner: str) -> Finding:
    if not nulls.known:
        sentence = f"{what} ({column.name}) may be null for all that PostgreSQL tells: allow None, or say "
        return finding_at(description.statement, column.line, f"{sentence}'not null: {column.name}'", "null-unknown")
    why = nulls.itself or "an outer join makes it so"
    sentence = f"{what} may be null ({why}), {owner}{column.name} does not allow None"
    return finding_at(description.statement, column.line, sentence, "nullability")
