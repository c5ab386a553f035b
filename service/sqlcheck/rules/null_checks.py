"""Nulls that a query can return, compared with what the class and the header allow."""

from collections.abc import Iterator

import attrs

from service.postgres import Cardinality, Marker, Statement
from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.description import Description, ResultColumn
from service.sqlcheck.analysis.joins import OuterJoin
from service.sqlcheck.analysis.max_rows import FunctionalDependencies
from service.sqlcheck.analysis.nullability import UNKNOWN, Nullability
from service.sqlcheck.analysis.query_tree import Node, own_variables
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.findings import Problem
from service.sqlcheck.row_classes import Annotation, Row
from service.sqlcheck.rules.json_fields import nested_values


@attrs.frozen
class _Value:
    """A column (from 1), or a value in its JSON: its nullability, and what its declaration by `owner` allows."""

    number: int
    column: ResultColumn
    nulls: Nullability
    owner: str
    optional: bool
    optional_elements: bool


def column_nullability(description: Description) -> list[Nullability]:
    """Return the nullability of each result column in the rows that the code receives."""
    return [_in_a_row(description, each) for each in _query_nullability(description)]


def _in_a_row(description: Description, nulls: Nullability) -> Nullability:
    """Remove the outer joins that make the first column null, too: the code receives no such row."""
    first = description.expression(1) if _null_means_nothing(description.statement) and description.columns else None
    if description.scope is None or first is None:
        return nulls
    first = description.scope.without_alias(first)
    if first.label != "VAR" or not _is_null_without_row(description, description.scope, first):
        return nulls
    return nulls.beside(_query_nullability(description)[0])


def _is_null_without_row(description: Description, scope: Scope, column: Node) -> bool:
    """Return whether a column is null for sure if an outer join finds no row, unlike `coalesce(…)` over that join."""
    is_of_table = scope.column_origin(column, written=True) is not None
    return is_of_table or description.nullability.column(scope, column).never_null


def check_nullability(description: Description, row: Row | Annotation | None) -> Iterator[Problem]:
    """Find nulls that the class or the header does not allow, and wrong or unneeded `not null` markers."""
    statement = description.statement
    if _null_means_nothing(statement):
        yield from _check_first_column(description)
    values = list(_values(description, row))
    names = {each.name for each in description.columns} | {each.column.name for each in values}
    for marker in statement.not_null:
        if not {marker.name, marker.name.removesuffix("[]")} & names:
            yield "marker", marker.line, f"'not null' names {marker.name}, which is no column"
    if 0 < len(description.parsed.targets()) != len(description.columns):  # `*`, which has a finding of its own
        return
    for value in values:
        yield from _check_value(statement, value)


def find_not_in(description: Description) -> Iterator[Problem]:
    """Find comparisons with all rows of a subquery that can contain a null: they are then never true."""
    for scope, node in description.scope.nodes() if description.scope else ():
        is_negated = node.boolop == "not" and node.args[0].subLinkType == pg.ANY
        if is_negated or node.subLinkType == pg.ALL:
            subquery = scope.child((node.args[0] if is_negated else node).subselect)
            for nulls in description.nullability.columns(subquery):
                if nulls.known and not nulls.never_null:
                    sentence = (
                        f"`not in` finds nothing if the subquery returns a null ({nulls.why}): write `not exists`"
                    )
                    yield "nullability", description.line_of(subquery), sentence


def _values(description: Description, row: Row | Annotation | None) -> Iterator[_Value]:
    """Yield the columns, and the values in their JSON (``owner.id``, ``pets[].id``), with what their field allows.

    Without a class, a single value has what the header allows; nothing is yielded if the class does not fit.
    """
    columns, nullability = description.columns, column_nullability(description)
    if isinstance(row, Row) and len(row.fields) == len(columns):
        owner = f"{row.name}."
        for number, (column, nulls, field) in enumerate(zip(columns, nullability, row.fields, strict=True), 1):
            allowed = field.annotation
            yield _Value(number, column, nulls, owner, allowed.optional, allowed.optional_elements)
            shape = None if field.converted or not allowed.has_json_class else description.json_shape(number)
            for path, inside, its in nested_values(shape, allowed, column.name) if shape else ():
                value = ResultColumn(path, inside.type or column.type, column.line)
                nulls_inside = _in_a_row(description, inside.nulls)
                yield _Value(number, value, nulls_inside, owner, its.optional, its.optional_elements)
    elif description.statement.cardinality == Cardinality.VALUE and len(columns) == 1:
        elements = not isinstance(row, Annotation) or row.optional_elements
        yield _Value(1, columns[0], nullability[0], "the header's ", description.statement.row_nullable, elements)


def _query_nullability(description: Description) -> list[Nullability]:
    if description.scope is None:
        return [UNKNOWN] * len(description.columns)
    return description.nullability.columns(description.scope)


def _null_means_nothing(statement: Statement) -> bool:
    """Return whether a row with null in its first column means that there is no row besides the session."""
    return statement.checks_session and statement.cardinality in {Cardinality.MAYBE, Cardinality.MANY}


def _check_first_column(description: Description) -> Iterator[Problem]:
    """Find a session query that can lose a row with data, because its first column is null."""
    statement, [first, *others] = description.statement, [*_query_nullability(description), UNKNOWN]
    if not description.columns or any(marker.name == description.columns[0].name for marker in statement.not_null):
        return
    name, why = description.columns[0].name, first.why
    if first.known and not first.reason:
        joins = frozenset().union(*first.outer_joins)
        single = all(FunctionalDependencies(join.scope).has_single_row(join.preserved) for join in joins)
        if single and not any(_remains(description, join, each) for join in joins for each in others):
            return
        why = "an outer join leaves only some rows unmatched"
    sentence = (
        f"the row would be lost if {name} is null ({why}): begin with a column that is null only if there is no row"
    )
    yield "lost-row", description.columns[0].line, sentence


def _remains(description: Description, missing: OuterJoin, column: Nullability) -> bool:
    """Return whether an outer join can have a match for a column although `missing` has none."""
    joins = frozenset().union(*column.outer_joins)
    return bool(joins) and not any(join is missing or _refers_to(description, join, missing) for join in joins)


def _refers_to(description: Description, join: OuterJoin, missing: OuterJoin) -> bool:
    """Return whether the condition or the lateral source of an outer join uses columns that `missing` makes null."""
    side = join.node.rarg if join.preserved is join.node.larg else join.node.larg
    source = join.scope.relation(side.rtindex)
    return any(
        {missing}
        in description.nullability.expression(join.scope, Node("VAR", {**node.fields, "varlevelsup": 0})).outer_joins
        for node in own_variables([join.node.quals, source.subquery, source.functions])
    )


def _check_value(statement: Statement, value: _Value) -> Iterator[Problem]:
    nulls, name = value.nulls, value.column.name
    marker = _marker(statement, name)
    if marker and (mistake := _marker_mistake(nulls, optional=value.optional)):
        yield "marker", marker.line, f"'not null: {name}' {mistake}"
    if not (marker or value.optional or nulls.never_null):
        yield _null_problem(value)
    if value.column.type.bare.element is None:
        return
    marker = _marker(statement, f"{name}[]")
    if marker and (nulls.elements_not_null or value.optional_elements):
        why = "no element is null" if nulls.elements_not_null else "the class allows None elements"
        yield "marker", marker.line, f"'not null: {name}[]' is unnecessary: {why}"
    if not (marker or value.optional_elements or nulls.elements_not_null):
        sentence = f"elements of column {value.number} ({name}) can be null: write list[… | None], or say "
        yield "null-unknown", value.column.line, f"{sentence}'not null: {name}[]'"


def _marker(statement: Statement, name: str) -> Marker | None:
    return next((marker for marker in statement.not_null if marker.name == name), None)


def _marker_mistake(nulls: Nullability, *, optional: bool) -> str:
    if nulls.never_null:
        return "is unnecessary: PostgreSQL guarantees it"
    if nulls.known and nulls.outer_joins:
        return "is wrong: an outer join makes it null"
    return "is unnecessary: the class allows None" if optional else ""


def _null_problem(value: _Value) -> Problem:
    name = value.column.name
    if not value.nulls.known:
        sentence = f"PostgreSQL cannot tell whether column {value.number} ({name}) can be null: allow None, or say "
        return "null-unknown", value.column.line, f"{sentence}'not null: {name}'"
    sentence = f"column {value.number} can be null ({value.nulls.why}), but {value.owner}{name} does not allow None"
    return "nullability", value.column.line, sentence
