"""Inserts and updates that a table rejects."""

import pytest

from tests.sqlcheck.conftest import Toys

INTO_PAIR = "insert into pair (left_id, right_id)"


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("insert into maker (id) values (1)", "maker.name"),
        ("insert into maker (name) select name from maker", "maker.id"),
        ("with made as (insert into maker (id) values (1)) select 1", "maker.name"),
        ("merge into maker using toy on toy.id = maker.id when not matched then insert (id) values (1)", "maker.name"),
        ("insert into maker (id, name) values (1, default)", "maker.name"),
        ("insert into maker (id, name) values (1, 'a')", ""),
        ("insert into filled (id) values (1)", ""),
        ("insert into priced (id) values (1)", ""),
        ("update maker set note = 'a' where id = 1", ""),
    ],
)
def test_required_column_is_given(toys: Toys, sql: str, found: str) -> None:
    said = toys.check(sql, "-- returns: count\n", "required-column")

    assert said == (
        f"3: the insert omits {found}, which is NOT NULL and has no default [required-column]" if found else ""
    )


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("update maker set id = case when $1::integer is not null then $1 else id end where id = 1", ""),
        (
            "update maker set id = case when $1 > 0 or id = 1 then $1 else id end where id = 1",
            "2: maker.id is NOT NULL, but receives null: $1 can be null",
        ),
        ("update maker set id = $1 where id = 1", "2: maker.id is NOT NULL, but receives null: $1 can be null"),
        ("update maker set name = null where id = $1", "4: maker.name is NOT NULL, but receives null: null"),
        ("insert into maker (id, name) values ($1, 'a')", "2: maker.id is NOT NULL, but receives null: $1 can be null"),
        (
            "insert into maker (id, name) select $1, name from maker",
            "2: maker.id is NOT NULL, but receives null: $1 can be null",
        ),
        (
            "insert into maker (id, name) values (1, 'a') on conflict (id) do update set id = $1",
            "2: maker.id is NOT NULL, but receives null: $1 can be null",
        ),
        ("update maker set id = coalesce($1, id) where id = 1", ""),
        ("update maker set note = $1::text where id = 1", ""),
        ("insert into filled (id, name) select 1, null from toy where id = $1", ""),
        ("insert into maker (id, name) select 1, opaque()::text from toy where id = $1", ""),
        ("insert into maker (id, name) select maker, 'a' from toy where id = $1", ""),
        (
            "insert into maker (id, name) select 1, m.name from toy left join maker as m on m.id = toy.id + $1",
            "4: maker.name is NOT NULL, but receives null: an outer join makes it so",
        ),
        (
            "insert into maker (id, name) select 1, m.name from toy left join maker as m using (id) where m.id = $1",
            "",
        ),
    ],
)
def test_null_for_a_required_column_is_found(toys: Toys, sql: str, found: str) -> None:
    said = toys.check(sql, "-- $1 id integer?\n-- returns: count\n", "null-written")

    assert said == (f"{found} [null-written]" if found else "")


@pytest.mark.parametrize(
    ("sql", "swapped"),
    [
        ("insert into pair (left_id, right_id) values ($2, $1)", True),
        ("insert into pair (left_id, right_id) select $2, $1", True),
        ("insert into pair (left_id, right_id) select a, b from (values ($2::integer, $1::integer)) as v (a, b)", True),
        ("with v as (select $1::int as a, $2::int as b) insert into pair (left_id, right_id) select b, a from v", True),
        (
            "insert into pair (left_id, right_id) select l, r from unnest(array[$2::int], array[$1::int]) as g (l, r)",
            False,
        ),
        ("insert into pair (left_id, right_id) values (nullif($2, 0), abs($1))", True),
        (
            (
                "insert into pair (left_id, right_id) values ($1, $2) on conflict (left_id, right_id)"
                " do update set left_id = excluded.right_id, right_id = excluded.left_id"
            ),
            True,
        ),
        (
            (
                "insert into pair (left_id, right_id) values ($1, $2) on conflict (left_id, right_id)"
                " do update set left_id = excluded.left_id, note = excluded.note"
            ),
            False,
        ),
        ("select 1 from (select $2::int as left_id, $1::int as right_id) as v", True),
        ("insert into pair (left_id, right_id) values ($2, $1), ($2, $1)", False),
        ("insert into pair (left_id, right_id) select $2, id from maker where id = $1", False),
        ("insert into pair (left_id, right_id) select $2, $1 union select 1, 2", False),
        ("update pair set left_id = $2::smallint, right_id = $1", True),
        ("update pair set left_id = coalesce($2, left_id), right_id = coalesce($1, 0)", True),
        ("insert into pair (left_id, right_id) values ($1, $2)", False),
        ("update pair set left_id = coalesce($1::integer, $2), right_id = coalesce($2, $1)", False),
        ("update pair set left_id = $2 where right_id = $1", False),
        ("update pair set (left_id, right_id) = (select $2::integer, $1::integer)", False),
        (f"{INTO_PAIR} select a, b from unnest($2::integer[], $1::integer[]) with ordinality as u (a, b, n)", True),
        (f"{INTO_PAIR} select b, a from unnest($2::integer[], $1::integer[]) as u (a, b)", False),
        (f"{INTO_PAIR} select a, n from unnest($2::integer[]) with ordinality as u (a, n) where n > $1", False),
        (f"{INTO_PAIR} select a, b from generate_series($2, 9) as a, generate_series($1, 9) as b", False),
    ],
)
def test_swapped_parameters_are_found(toys: Toys, *, sql: str, swapped: bool) -> None:
    said = toys.check(sql, "-- $1 left_id integer\n-- $2 right_id integer\n-- returns: count\n", "swapped")
    sentence = "2: $1 left_id goes to the column right_id, and $2 right_id to left_id [swapped]"

    assert said == (sentence if swapped else "")


@pytest.mark.parametrize(
    ("sql", "swapped"),
    [
        ("select note from pair where left_id = $2 and $1 = right_id", True),
        ("select note from pair where pair.left_id = $2 and pair.right_id = $1", True),
        ("select note from pair where left_id = $2::integer and right_id = $1::integer", True),
        ("select note from pair where (left_id, right_id) = ($2, $1)", True),
        ("select note from pair where (left_id, right_id) in (($2, $1))", True),
        ("select note from pair where left_id = coalesce($2, left_id) and right_id = coalesce($1, right_id)", True),
        (
            "select 1 from pair as p join (values ($2::int, $1::int)) as v (l, r) on p.left_id = l and right_id = r",
            True,
        ),
        ("select note from pair where left_id = $1 and right_id = $2", False),
        ("select note from pair where left_id = $2 and right_id > $1", False),
        ("select one.note from pair as one, pair as two where one.left_id = $2 and two.right_id = $1", False),
    ],
)
def test_swapped_parameters_of_a_condition_are_found(toys: Toys, *, sql: str, swapped: bool) -> None:
    said = toys.check(sql, "-- $1 left integer\n-- $2 right integer\n-- returns: many Toy\n", "swapped")
    sentence = "2: $1 left is compared with the column right_id, and $2 right with left_id [swapped]"

    assert said == (sentence if swapped else "")


@pytest.mark.parametrize(
    ("sql", "verb"),
    [
        ("insert into pair (left_id, right_id) select l, r from unnest($2::int[], $1::int[]) as g (l, r)", "goes to"),
        ("insert into pair (left_id, right_id) select unnest($2::int[]), unnest($1::int[])", "goes to"),
        ("select 1 from unnest($2::int[], $1::int[]) as g (left_id, right_id)", "goes to"),
        ("delete from pair where left_id = any($2) and right_id = any($1)", "is compared with"),
        (
            "delete from pair using unnest($2::int[], $1::int[]) as g (l, r) where left_id = l and right_id = r",
            "is compared with",
        ),
    ],
)
def test_swapped_arrays_are_found(toys: Toys, sql: str, verb: str) -> None:
    said = toys.check(sql, "-- $1 left_ids integer[]\n-- $2 right_ids integer[]\n-- returns: count\n", "swapped")

    assert said.startswith(f"2: $1 left_ids {verb} the column right_id, and $2 right_ids ")


@pytest.mark.parametrize(
    ("sql", "swapped"),
    [
        ("select price from toy where id = $2 and maker = $1", True),
        ("select t.price from toy as t inner join maker on maker.id = t.id where t.id = $2 and t.maker = $1", True),
        ("select price from toy where id = $1 and maker = $2", False),
        ("select toy.price from toy, maker where maker.id = $2 and toy.maker = $1", False),
        ("select toy.price from toy, maker where toy.id = $1 and maker.id = $2", False),
    ],
)
def test_parameter_named_like_a_table_is_its_id(toys: Toys, *, sql: str, swapped: bool) -> None:
    said = toys.check(sql, "-- $1 toy integer\n-- $2 maker integer\n-- returns: many Toy\n", "swapped")
    sentence = "3: $2 maker is compared with the column toy.id, and $1 toy with maker [swapped]"

    assert said == (sentence if swapped else "")


def test_comparison_of_a_whole_row_is_no_swap(toys: Toys) -> None:
    sql = "select id from toy where toy.* = $1"

    assert toys.check(sql, "-- $1 toy toy\n-- returns: many Toy\n", "swapped") == ""


def test_parameters_of_two_types_are_not_swapped(toys: Toys) -> None:
    header = "-- $1 left_id bigint\n-- $2 right_id integer\n-- returns: count\n"

    assert toys.check("insert into pair (left_id, right_id) values ($2, $1::bigint)", header, "swapped") == ""


@pytest.mark.parametrize(
    ("sql", "line", "sentence"),
    [
        ("select maker.id from maker\nleft join toy on true for update", 3, "FOR UPDATE cannot be applied"),
        ("insert into maker (id, name) values (1, 'a') on conflict (note) do nothing", 3, "there is no unique or"),
        ("select 1 / 0", 3, "division by zero"),
        ("select id,\nbroken(1, 2) from maker", 4, "function broken(integer, integer) does not exist"),
        ("insert into doubled\nvalues (1, 2)", 3, 'cannot insert a non-DEFAULT value into column "twice"'),
    ],
)
def test_planner_error_has_its_line(toys: Toys, sql: str, line: int, sentence: str) -> None:
    assert toys.check(sql, "-- returns: count\n").startswith(f"{line}: PostgreSQL says: {sentence}")


@pytest.mark.parametrize(
    "sql",
    [
        "select n from unnest($1) as u (n)",
        "select id from maker where $1 is null",
        "select id from maker where id = -$1",
    ],
)
def test_parameter_without_a_type_needs_a_cast(toys: Toys, sql: str) -> None:
    said = toys.check(sql, "-- $1 ids integer[]\n-- returns: many Toy\n")

    assert said.endswith("; it does not read the header: write $1::integer[] [refused]")


@pytest.mark.parametrize(
    ("sql", "advice"),
    [
        ("update maker set made = $1 where $1 <> 'a'", "; it does not read the header: write $1::date"),
        ("select id from maker where $1 = '' or made = $1", "; it does not read the header: write $1::date"),
        (
            "update maker set made = $1, note = case when $1 = 'a' then 'b' end",
            "; it does not read the header: write $1::date",
        ),
        ("select id from maker where made <\nlower($1) - 1", "; it does not read the header: write $1::date"),
        ("select id from maker where id = $1 or\nmade = 3", ""),
        ("select names from maker where id = $1", '; perhaps you meant to reference the column "maker.name"'),
    ],
    ids=["set", "condition", "inconsistent", "overloaded", "other line", "typing error"],
)
def test_refusal_says_what_to_write(toys: Toys, sql: str, advice: str) -> None:
    said = toys.check(sql, "-- $1 day date\n-- returns: many Toy\n").partition(": PostgreSQL says: ")[2]

    assert said.removesuffix(" [refused]").partition(";")[2] == advice.removeprefix(";")


@pytest.mark.parametrize("sql", ["insert into nowhere (id) values (1)", "delete from nowhere where id = 1"])
def test_statement_without_a_plan_is_described(toys: Toys, sql: str) -> None:
    """A rule drops it, or runs a statement that is not planned."""
    assert toys.describe(sql, "-- returns: count\n").plan == {}
