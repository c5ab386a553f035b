"""The types that the header and the class declare, compared with those that PostgreSQL takes and returns."""

import re
from collections.abc import Iterator

from service.postgres import Cardinality
from service.sqlcheck.analysis.description import Description
from service.sqlcheck.analysis.types import JSON, TEXT, Type
from service.sqlcheck.findings import Problem
from service.sqlcheck.row_classes import Annotation, Row
from service.sqlcheck.rules.allowed_values import allowed_values
from service.sqlcheck.rules.json_fields import mismatches, nested_values

PACKAGE = __name__.partition(".")[0] + "."
NAIVE = "is timestamp without time zone, which leaves the zone unknown: use timestamptz"


def check_parameters(description: Description) -> Iterator[Problem]:
    """Compare each `$n` of the header with the type that PostgreSQL infers, and find timestamps without a time zone."""
    parameters = zip(description.statement.parameters, description.parameters, strict=True)
    for number, (parameter, inferred) in enumerate(parameters, 1):
        declared = description.types.by_name(parameter.type)
        if declared is None:
            yield "parameter-type", parameter.line, f"${number}: PostgreSQL has no type {parameter.type!r}"
        elif not declared.equivalent(inferred):
            sentence = f"${number} is {inferred} in the statement, but the header says {parameter.type}"
            yield "parameter-type", parameter.line, sentence
        if inferred.is_naive:
            yield "naive-timestamp", parameter.line, f"${number} {NAIVE}"


def check_columns(description: Description, row: Row | Annotation | None) -> Iterator[Problem]:
    """Compare the result with the class or type that the code reads; without one, with the header alone."""
    statement, found = description.statement, description.columns
    match statement.cardinality, row:
        case Cardinality.COUNT, _:
            if any(each.type.internal != "void" for each in found):
                sentence = f"returns {_number(len(found))}, but the header says count, which reads none"
                yield "column-count", found[0].line, sentence
        case Cardinality.VALUE, _:
            yield from _value(description, row)
        case _, Row():
            yield from _row(description, row)
        case _, Annotation():
            sentence = f"{row} is not an attrs class of the service, so its fields are unknown{_undefined(row)}"
            yield "column-count", statement.returns_line, sentence
        case _:
            pass  # no code reads it, which is a finding of its own


def find_naive_timestamps(description: Description, row: Row | Annotation | None) -> Iterator[Problem]:
    """Find columns of timestamps without a time zone, unless the class converts them."""
    fields = row.fields if isinstance(row, Row) else ()
    for number, column in enumerate(description.columns, 1):
        field = fields[number - 1] if number <= len(fields) else None
        if field and field.converted:
            continue
        if column.type.is_naive:
            yield "naive-timestamp", column.line, f"column {number} {NAIVE}"
        if field and field.annotation.has_json_class and (shape := description.json_shape(number)):
            for path, inside, _ in nested_values(shape, field.annotation, column.name):
                if inside.type and inside.type.is_naive:
                    yield "naive-timestamp", column.line, f"column {number}: {path} {NAIVE}"


def _value(description: Description, row: Row | Annotation | None) -> Iterator[Problem]:
    statement = description.statement
    if len(description.columns) != 1:
        sentence = f"returns {_number(len(description.columns))}, but a value has one"
        yield "column-count", statement.returns_line, sentence
        return
    [column], declared = description.columns, description.types.by_name(statement.row) if statement.row else None
    if declared is None or not declared.equivalent(column.type):
        sentence = f"the value is {column.type}, but the header says {statement.row or 'no type'}"
        yield "column-type", statement.returns_line, sentence
    if isinstance(row, Row) or (row and row.has_json_class):
        name = row.name if isinstance(row, Row) else row
        sentence = f"the value is {column.type}, and only fields are decoded: return a row with a field for {name}"
        yield "column-type", column.line, sentence
    elif row and not column.type.matches(row):
        yield "column-type", column.line, f"the value is {column.type}, but the code says {row}"


def _row(description: Description, row: Row) -> Iterator[Problem]:
    statement, found = description.statement, description.columns
    if row.problem:
        yield "column-count", statement.returns_line, f"{row.name} {row.problem}"
        return
    if len(found) != len(row.fields):
        names = ", ".join(field.name for field in row.fields)
        sentence = f"returns {_number(len(found))}, {row.name} has {len(row.fields)}: {names}"
        yield "column-count", statement.returns_line, sentence
        return
    for number, (column, field) in enumerate(zip(found, row.fields, strict=True), 1):
        if column.name != field.name:
            sentence = f"column {number} is {column.name}, but field {number} of {row.name} is {field.name}"
            yield "column-name", column.line, sentence
        elif field.annotation.name == "Literal" and column.type.bare.internal in TEXT and not field.converted:
            allowed = allowed_values(description, number)
            if not allowed or not allowed <= {*(field.annotation.values or ())}:
                has = f"its CHECK allows {', '.join(sorted(allowed))}" if allowed else "no CHECK lists its values"
                sentence = f"column {number} is {column.type}, {row.name}.{field.name} says Literal; {has}"
                yield "column-type", column.line, sentence
        elif not column.type.matches(field.annotation, converted=field.converted):
            sentence = f"column {number} is {column.type}, {row.name}.{field.name} says {field.annotation}"
            sentence += _undefined(field.annotation) or _advice(column.type, field.annotation)
            yield "column-type", column.line, sentence
        elif field.annotation.has_json_class and not field.converted and (shape := description.json_shape(number)):
            for mismatch in mismatches(shape, field.annotation, column.name):
                yield "column-type", column.line, f"column {number}: {mismatch}"


def _advice(found: Type, annotation: Annotation) -> str:
    """Return how to make the column fit, as the end of a sentence, if that is not obvious."""
    if annotation.has_json_class:
        return "; a class is read from json or jsonb"
    if found.bare.internal in JSON:
        return "; JSON becomes a str, an attrs class, a msgspec Struct, or a list of one"
    if found.bare.labels and annotation.values is not None:
        return found.lacking(annotation) or "; asyncpg returns str: write attrs.field(converter=…)"
    if found.python() is None:
        return "; its Python type is unknown: cast it in the statement"
    return ""


def _undefined(annotation: Annotation) -> str:
    """Return which name of an annotation its module does not define, as the end of a sentence."""
    for name in re.findall(r"[\w.]+", annotation.name):
        module, _, short = name.rpartition(".")
        if module.startswith(PACKAGE):  # a class of the service has its short name here
            return f"; {module} neither defines nor imports {short}"
    return ""


def _number(count: int) -> str:
    return f"{count} column" if count == 1 else f"{count} columns"
