"""Which columns of a result can be null: the statements stand in nullability/*.sql, each below what is right."""

from collections.abc import Callable

import pytest

from service.sqlcheck.null_checks import column_nullability
from service.sqlcheck.nullability import Nullability
from tests.sqlcheck.conftest import FOLDER, Toys

OF_SESSION = "-- $1 session integer\n-- returns: maybe Toy\n"
WITH_CALLER = (
    "from twice($1) as caller (id) left join toy on toy.id = caller.id left join maker on maker.id = toy.maker"
)
Judge = Callable[..., list[Nullability]]


def cases(name: str) -> list[tuple[str, str]]:
    """Return the statements of a file, and what stands above each."""
    paragraphs = (FOLDER / f"{name}.sql").read_text().strip().split("\n\n")[1:]
    return [
        (statement.rstrip(";"), said.removeprefix("-- "))
        for said, _, statement in (each.partition("\n") for each in paragraphs)
    ]


@pytest.fixture
def judge(toys: Toys) -> Judge:
    """Return what judges each column of a statement."""
    return lambda statement, header="-- returns: many Toy\n": column_nullability(toys.describe(statement, header))


def called(nulls: Nullability) -> str:
    """Say when a column is null: never, by an outer join, by itself, or nobody knows."""
    if nulls.never_null:
        return "never"
    return "who knows" if not nulls.known else "join" if nulls.outer_joins else "itself"


@pytest.mark.parametrize(
    ("statement", "said"),
    [case for name in ("joins", "expressions", "functions", "tables", "queries", "writes") for case in cases(name)],
)
def test_column_is_null_as_said(judge: Judge, statement: str, said: str) -> None:
    assert ", ".join(called(nulls) for nulls in judge(statement)) == said


@pytest.mark.parametrize(("statement", "said"), cases("elements"))
def test_element_is_null_as_said(judge: Judge, statement: str, said: str) -> None:
    assert ", ".join("never" if nulls.elements_not_null else "who knows" for nulls in judge(statement)) == said


@pytest.mark.parametrize(("mark", "column"), [("", "never"), ("?", "itself")])
def test_parameter_is_null_if_the_header_allows_it(judge: Judge, mark: str, column: str) -> None:
    header = f"-- $1 note text{mark}\n-- returns: many Toy\n"
    statement = "select $1::text, page.note from (select $1::text as note) as page"

    assert [called(nulls) for nulls in judge(statement, header)] == [column, column]


def test_null_beside_the_first_column_is_none_in_a_row(judge: Judge) -> None:
    statement = f"select toy.id, toy.price, coalesce(maker.id, toy.id), maker.id, toy.maker {WITH_CALLER}"

    assert [called(nulls) for nulls in judge(statement, OF_SESSION)] == ["never", "never", "never", "join", "itself"]


@pytest.mark.parametrize(
    "first", ["coalesce(toy.id, maker.id)", "(select toy.id)", "toy.id + 1"], ids=["coalesce", "subquery", "expression"]
)
def test_first_column_that_is_no_tables_proves_nothing(judge: Judge, first: str) -> None:
    assert not judge(f"select {first}, toy.price {WITH_CALLER}", OF_SESSION)[1].never_null


def test_union_begins_with_no_tables_column(judge: Judge) -> None:
    arm = f"select toy.id, toy.price {WITH_CALLER}"

    assert called(judge(f"{arm} union {arm}", OF_SESSION)[1]) == "join"
