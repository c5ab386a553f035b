"""Columns that can be null; in nullability/*.sql, the expected result is above each statement."""

from collections.abc import Callable

import pytest

from service.sqlcheck.analysis.nullability import Nullability
from service.sqlcheck.rules.null_checks import column_nullability
from tests.sqlcheck.conftest import FOLDER, Toys

NULLS = ("lost-row", "marker", "nullability")
NOTED = "import attrs\n\n@attrs.frozen\nclass Row:\n    note: str\n    id: int\n"
OF_SESSION = "-- $1 session integer\n-- returns: maybe Toy\n"
WITH_CALLER = (
    "from twice($1) as caller (id) left join toy on toy.id = caller.id left join maker on maker.id = toy.maker"
)
Infer = Callable[..., list[Nullability]]


def cases(name: str) -> list[tuple[str, str]]:
    """Return the statements of a file, each with the expected result."""
    paragraphs = (FOLDER / f"{name}.sql").read_text().strip().split("\n\n")[1:]
    return [
        (statement.rstrip(";"), said.removeprefix("-- "))
        for said, _, statement in (each.partition("\n") for each in paragraphs)
    ]


@pytest.fixture
def infer(toys: Toys) -> Infer:
    """Return a function that infers the nullability of each column of a statement."""
    return lambda statement, header="-- returns: many Toy\n": column_nullability(toys.describe(statement, header))


def called(nulls: Nullability) -> str:
    """Return when a column is null, in the words of the files."""
    if nulls.never_null:
        return "never"
    return "who knows" if not nulls.known else "join" if nulls.outer_joins else "itself"


@pytest.mark.parametrize(
    ("statement", "said"),
    [case for name in ("joins", "expressions", "functions", "tables", "queries", "writes") for case in cases(name)],
)
def test_nullability_of_columns_is_inferred(infer: Infer, statement: str, said: str) -> None:
    assert ", ".join(called(nulls) for nulls in infer(statement)) == said


@pytest.mark.parametrize(("statement", "said"), cases("elements"))
def test_nullability_of_elements_is_inferred(infer: Infer, statement: str, said: str) -> None:
    assert ", ".join("never" if nulls.elements_not_null else "who knows" for nulls in infer(statement)) == said


@pytest.mark.parametrize(("mark", "column"), [("", "never"), ("?", "itself")])
def test_parameter_is_null_if_the_header_allows_it(infer: Infer, mark: str, column: str) -> None:
    header = f"-- $1 note text{mark}\n-- returns: many Toy\n"
    statement = "select $1::text, page.note from (select $1::text as note) as page"

    assert [called(nulls) for nulls in infer(statement, header)] == [column, column]


def test_array_that_is_not_null_has_no_null_elements(infer: Infer) -> None:
    statement = "select case when $1::integer[] is null then true else id = any($1) end from maker"

    assert infer(statement, "-- $1 ids integer[]?\n-- returns: many Toy\n")[0].never_null


def test_comparison_with_a_subquery_proves_nothing_of_a_parameter(infer: Infer) -> None:
    statement = "select case when name in (select name from maker) then $1::text else 'a' end from maker"

    assert not infer(statement, "-- $1 note text?\n-- returns: many Toy\n")[0].never_null


def test_elements_of_a_parameter_are_null_if_declared(infer: Infer) -> None:
    header = "-- $1 ids integer?[]\n-- returns: many Toy\n"

    assert [called(nulls) for nulls in infer("select unnest($1::integer[])", header)] == ["who knows"]


def test_text_of_an_array_can_contain_nulls(infer: Infer) -> None:
    assert not infer("select $1::text::text[]", "-- $1 note text\n-- returns: many Toy\n")[0].elements_not_null


def test_positions_of_a_word_can_be_null(infer: Infer) -> None:
    statement, header = (
        "select u.positions from unnest($1::tsvector) as u",
        "-- $1 text tsvector\n-- returns: many Toy\n",
    )

    assert [called(nulls) for nulls in infer(statement, header)] == ["who knows"]


def test_null_with_a_null_first_column_is_ignored(infer: Infer) -> None:
    statement = f"select toy.id, toy.price, coalesce(maker.id, toy.id), maker.id, toy.maker {WITH_CALLER}"

    assert [called(nulls) for nulls in infer(statement, OF_SESSION)] == ["never", "never", "never", "join", "itself"]


def test_marker_of_a_null_first_column_is_accepted(toys: Toys) -> None:
    sql = "select maker.note, maker.id from twice($1) as caller (id) left join maker on maker.id = caller.id"

    assert not toys.check(sql, f"{OF_SESSION}-- not null: note (each has one)\n", *NULLS, models=NOTED)


def test_null_first_column_of_one_row_hides_nothing(infer: Infer) -> None:
    nulls = infer(f"select toy.id, toy.price {WITH_CALLER}", OF_SESSION.replace("maybe", "one"))

    assert [called(each) for each in nulls] == ["join", "join"]


def test_required_foreign_key_of_a_row_that_exists_has_a_match(infer: Infer) -> None:
    joined = "left join owner on owner.id = caller.id left join maker on maker.id = owner.maker"
    statement = f"select owner.id, maker.id, maker.note from twice($1) as caller (id) {joined}"

    assert [called(nulls) for nulls in infer(statement, OF_SESSION)] == ["never", "never", "itself"]


@pytest.mark.parametrize(
    "first", ["coalesce(toy.id, maker.id)", "(select toy.id)", "toy.id + 1"], ids=["coalesce", "subquery", "expression"]
)
def test_computed_first_column_proves_nothing(infer: Infer, first: str) -> None:
    assert not infer(f"select {first}, toy.price {WITH_CALLER}", OF_SESSION)[1].never_null


@pytest.mark.parametrize(
    ("first", "other"),
    [("abs(toy.price)", "never"), ("coalesce(maker.name, '')", "never"), ("toy.price + maker.id", "join")],
)
def test_first_column_computed_from_each_row_of_a_subquery(infer: Infer, first: str, other: str) -> None:
    source = f"select {first} as first, toy.id, maker.name from toy left join maker on maker.id = toy.maker"
    statement = f"select a.first, a.id, a.name from twice($1) as caller (id) left join ({source}) as a on true"

    assert [called(nulls) for nulls in infer(statement, OF_SESSION)][1:] == [other, "join"]


def test_first_column_of_a_union_proves_nothing(infer: Infer) -> None:
    arm = f"select toy.id, toy.price {WITH_CALLER}"

    assert called(infer(f"{arm} union {arm}", OF_SESSION)[1]) == "join"


@pytest.mark.parametrize(
    ("element", "select", "why"),
    [
        ("int", "select array[id] as ids from toy", "no element is null"),
        ("int | None", "select array[maker] as ids from toy", "the class allows None elements"),
        ("list[int | None]", "select array[array[maker]] as ids from toy", "the class allows None elements"),
    ],
)
def test_unnecessary_marker_of_elements_is_found(toys: Toys, element: str, select: str, why: str) -> None:
    models = f"import attrs\n@attrs.define\nclass Row:\n    ids: list[{element}]\n"
    header = "-- returns: many Row\n-- not null: ids[] (all have one)\n"

    assert toys.check(select, header, "marker", models=models) == (
        f"3: 'not null: ids[]' is unnecessary: {why} [marker]"
    )


def test_very_long_expression_is_examined(infer: Infer) -> None:
    [column] = infer(f"select {' || '.join(['name'] * 1000)} from maker")

    assert column.never_null


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("id not in (select maker from toy)", True),
        ("id <> all (select maker from toy)", True),
        ("exists (select from box where not (id in (select maker from toy)))", True),
        ("(id, 1) not in (select id, maker from toy)", True),
        ("id not in (select maker from toy where maker is not null)", False),
        ("id not in (select id from toy)", False),
        ("id in (select maker from toy) and id > 1", False),
        ("id not in (select opaque() from toy)", False),
        ("not exists (select from toy where toy.maker = maker.id)", False),
    ],
)
def test_not_in_with_a_null_is_found(toys: Toys, condition: str, *, found: bool) -> None:
    says = toys.check(f"select id from maker where {condition}", "-- returns: many Toy\n", "nullability")

    assert ("`not in` finds nothing if the subquery returns a null" in says) == found
