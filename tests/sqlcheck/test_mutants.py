"""Mutants of the corpus: queries, headers and classes with one mistake each, which the checks must find."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
import psycopg
import pytest
from psycopg import sql

from service.sqlcheck.analysis.description import Describer, Description
from service.sqlcheck.analysis.refusal import RefusedError
from service.sqlcheck.code import QueryReference
from service.sqlcheck.findings import Finding
from service.sqlcheck.row_classes import Row
from service.sqlcheck.rules.query_checks import check_query
from service.sqlcheck.scratch import connect
from tests.sqlcheck.corpus import FOLDER, Case, cases, fill, nulls_of, reference, statement

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]  # a thousand queries

# The checks of each rule: without the rule, a mutant that only these checks find would survive.
RULES = {
    "parameters": {"parameter-type"},
    "columns": {"column-count", "column-name", "column-type"},
    "nulls": {"nullability", "null-unknown"},
    "rows": {"cardinality"},
    "writes": {"required-column", "null-written", "swapped"},
    "refusals": {"refused"},
}
OTHER_TYPES = {"bigint": "integer", "text": "uuid", "date": "text", "numeric": "bigint"}


@attrs.frozen
class Mutant:
    """A query with one mistake, the kind of the mistake, and the checks that find it."""

    kind: str
    name: str
    checks: frozenset[str]


def check(describer: Describer, case: Case, folder: Path, read: QueryReference, header: str = "") -> frozenset[str]:
    """Return the names of the checks that find something in a query, except those that queries of the corpus fail."""
    try:
        description = describer.describe(statement(case, describer, folder, header))
    except RefusedError:
        return frozenset({"refused"})
    found: list[Finding] = list(check_query(description, [read]))
    return frozenset(finding.check for finding in found) - {"seqscan", "unlimited"}


def of_class(read: QueryReference) -> Iterator[tuple[str, QueryReference]]:
    """Yield classes with one mistake."""
    assert isinstance(read.row, Row)
    fields = read.row.fields
    if len(fields) > 1:
        yield "fields swapped", _with(read, fields[1], fields[0], *fields[2:])
        yield "field missing", _with(read, *fields[:-1])
    yield "field renamed", _with(read, attrs.evolve(fields[0], name="other"), *fields[1:])
    wrong = attrs.evolve(fields[0].annotation, name="complex")
    yield "field of another type", _with(read, attrs.evolve(fields[0], annotation=wrong), *fields[1:])
    for place, field in enumerate(fields):
        certain = attrs.evolve(field.annotation, optional=False)
        if field.annotation.optional:
            yield (
                "None forgotten",
                _with(read, *fields[:place], attrs.evolve(field, annotation=certain), *fields[place + 1 :]),
            )


def _with(read: QueryReference, *fields: object) -> QueryReference:
    return attrs.evolve(read, row=Row("X", fields))  # type: ignore[arg-type]


def of_text(case: Case, description: Description) -> Iterator[tuple[str, Case, str]]:
    """Yield queries and headers with one mistake."""
    parameters = description.statement.parameters
    right = header([each.type for each in parameters])
    if table := re.search(r"\b(?:from|join|into|update) (\w+)\b(?! *\()", case.sql):
        yield "table misspelled", attrs.evolve(case, sql=case.sql.replace(table[1], f"{table[1]}x")), right
    if column := re.search(r"\b(?!g\b|v\b|u\b)(\w)\.(\w+)\b", case.sql):
        yield "column misspelled", attrs.evolve(case, sql=case.sql.replace(column[0], f"{column[0]}x", 1)), right
    if case.cardinality == "maybe":
        yield "a row expected", attrs.evolve(case, cardinality="one"), right
    for place, parameter in enumerate(parameters):
        if other := OTHER_TYPES.get(parameter.type):
            types = [each.type for each in parameters]
            types[place] = other
            yield "parameter of another type", case, header(types)


def header(types: list[str]) -> str:
    """Return the lines of parameters of these types."""
    return "".join(f"-- ${number} p_{chr(96 + number)} {kind}\n" for number, kind in enumerate(types, 1))


@pytest.fixture(scope="module")
def describer(module_database_url: str) -> Iterator[Describer]:
    """Return a describer on a database with a shop that has some rows."""
    with connect(module_database_url) as connection:
        connection.execute((FOLDER / "schema.sql").read_bytes())
        fill(connection, share=0.3, seed=1)
        yield Describer(connection)


@pytest.fixture(scope="module")
def mutants(describer: Describer, tmp_path_factory: pytest.TempPathFactory) -> list[Mutant]:
    """Return the checked mutants."""
    folder = tmp_path_factory.mktemp("mutants")
    found = []
    for case in cases("working"):
        description = describer.describe(statement(case, describer, folder))
        read = reference(description)
        found += [Mutant(kind, case.name, check(describer, case, folder, wrong)) for kind, wrong in of_class(read)]
        found += [
            Mutant(kind, case.name, check(describer, wrong, folder, read, lines))
            for kind, wrong, lines in of_text(case, description)
        ]
        found += of_runs(describer, case, description, folder)
    return found


def of_runs(describer: Describer, case: Case, description: Description, folder: Path) -> Iterator[Mutant]:
    """Yield mistakes that only a run can confirm: nulls, several rows, rejected nulls."""
    read = reference(description)
    if "inner join" in case.sql and "recursive" not in case.sql:
        outer = attrs.evolve(case, sql=case.sql.replace("inner join", "left join"))
        seen, _ = nulls_of(describer, outer.sql, description)
        assert isinstance(read.row, Row)
        if any(null and not field.annotation.optional for null, field in zip(seen, read.row.fields, strict=True)):
            yield Mutant("inner join made outer", case.name, check(describer, outer, folder, read))
    if case.cardinality == "many" and nulls_of(describer, case.sql, description)[1] > 1:
        single = attrs.evolve(case, cardinality="maybe")
        yield Mutant("several rows for maybe", case.name, check(describer, single, folder, read))
    for place in range(len(description.parameters)) if case.sql.startswith(("insert", "update")) else ():
        types = [str(each) for each in description.parameters]
        if refuses_null(describer, case.sql, types, place):
            types[place] += "?"
            yield Mutant("null for a required column", case.name, check(describer, case, folder, read, header(types)))


def refuses_null(describer: Describer, text: str, types: list[str], place: int) -> bool:
    """Return whether the query fails with null for a parameter."""
    connection = describer._connection  # noqa: SLF001 - the one that has the tables
    given = [sql.SQL("null" if number == place else "'1'") for number in range(len(types))]
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(sql.SQL("prepare refused as {}").format(sql.SQL(text)))
            connection.execute(sql.SQL("execute refused ({})").format(sql.SQL(", ").join(given)))
    except psycopg.errors.NotNullViolation:
        return True
    except psycopg.Error:
        return False
    finally:
        connection.execute("deallocate all")
    return False


def test_mutants_are_caught(mutants: list[Mutant]) -> None:
    made = Counter(mutant.kind for mutant in mutants)
    caught = Counter(mutant.kind for mutant in mutants if mutant.checks)
    # A figure of docs/checks.md.
    print({kind: f"{caught[kind]} of {number}" for kind, number in made.items()})  # noqa: T201 - a figure

    assert {kind: caught[kind] for kind, number in made.items() if caught[kind] < number * 0.9} == {}
    assert len(made) == 12


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_needed(mutants: list[Mutant], rule: str) -> None:
    assert [mutant.name for mutant in mutants if mutant.checks and mutant.checks <= RULES[rule]]
