"""Literals for texts that a CHECK limits, and timestamps without a time zone."""

import pytest

from tests.sqlcheck.conftest import Toys

MODELS = """
import datetime
from typing import Literal
import asyncpg
import attrs

def utc(moment):
    return moment

@attrs.define
class Visit:
    at: datetime.datetime

@attrs.define
class Row:
    id: int
    {field}
"""
HEADER = "-- returns: many Row\n"
KIND = "kind: Literal['cat', 'dog']"


def said(toys: Toys, field: str, select: str, header: str = HEADER) -> str:
    """Return the findings about a query whose second column is read as `field`."""
    models = MODELS.replace("{field}", field)
    return toys.check(select, header, "column-type", "naive-timestamp", "marker", "parameter-type", models=models)


@pytest.mark.parametrize(
    ("field", "select"),
    [
        (KIND, "select id, kind from pet"),
        ("kind: Literal['cat', 'cow', 'dog'] | None", "select pet.id, kind from toy left join pet on pet.id = toy.id"),
        (KIND, "select max(id) as id, kind from a_pet group by kind"),
        (KIND, "with p as (update pet set kind = 'cat' returning id, kind) select id, kind from p"),
        ("code: Literal['a', 'b', 'c']", "select id, code from pet"),
        ("padded: Literal['a  ', 'b  ']", "select id, padded from pet"),
        ("size: Literal['small', 'large']", "select id, size from pet"),
        ("mood: Literal['glad', 'sad'] | None", "select id, mood from pet"),
        ("size: Literal['small', 'large']", "select id, coalesce(size, 'small'::size) as size from pet"),
    ],
)
def test_literal_matches_a_checked_text(toys: Toys, field: str, select: str) -> None:
    assert said(toys, field, select) == ""


@pytest.mark.parametrize(
    "made",
    [
        "array[array[id], array[2]]",
        "array(select array[toy.id] from toy)",
        "coalesce((select array_agg(array[toy.id]) from toy), '{}')",
        "(select max(array[array[toy.id]]) over () from toy limit 1)",
        "(select max(array[array[toy.id]]) from toy)",
        "case when id > 1 then array[array[id]] else '{}' end",
        "(array[array[id], array[2]])[1:1]",
        "array[array[id]] || array[id]",
        "array_cat(array[id], array[array[id]])",
        "array(select array(select toy.id from toy))",
        "array(select (select array[toy.id]) from toy)",
        "array(select array[toy.id]::ids from toy)",
        "'{{1},{2}}'::integer[]",
        "paired(array[id])",
        "(select percentile_disc(array[array[0.5]]) within group (order by toy.id) from toy)",
        "(select a from (values (array[array[1]])) as v (a))",
        "(select a from (select '{}'::integer[] as a union all select array[array[1]]) as either limit 1)",
        "(select a from (select array[array[1]] as a union all select '{}') as either limit 1)",
        "(with recursive up (a) as (select array[array[1]] union select a || a from up) select a from up limit 1)",
    ],
)
def test_array_of_arrays_is_a_list_of_lists(toys: Toys, made: str) -> None:
    select = f"select id, {made} as part from maker"

    assert said(toys, "part: list[list[int | None]]", select) == ""


@pytest.mark.parametrize("made", ["array[array[array[id]]]", "array[(select array_agg(array[toy.id]) from toy)]"])
def test_each_level_of_arrays_is_a_list(toys: Toys, made: str) -> None:
    select = f"select id, {made} as part from maker"

    assert said(toys, "part: list[list[list[int]]]", select) == ""


def test_array_of_arrays_is_no_list(toys: Toys) -> None:
    select = "select id, array[array[id]] as part from maker union all select 1, '{}'"

    assert said(toys, "part: list[int]", select) == "3: column 2 is integer[][], Row.part says list[int] [column-type]"


@pytest.mark.parametrize(
    ("field", "select", "has"),
    [
        ("kind: Literal['cat']", "select id, kind from pet", "its CHECK allows cat, dog"),
        (KIND, "select id, lower(kind) as kind from pet", "no CHECK lists its values"),
        ("name: Literal['a']", "select id, name from pet", "no CHECK lists its values"),
        ("either: Literal['a']", "select id, either from pet", "no CHECK lists its values"),
        ("small: Literal['a']", "select id, small from pet", "no CHECK lists its values"),
        ("other: Literal['b', 'c'] | None", "select id, other from pet", "no CHECK lists its values"),
        ("gap: Literal['a', '']", "select id, gap from pet", "no CHECK lists its values"),
        ("number: Literal['1', '2']", "select id, number from pet", "no CHECK lists its values"),
        ("written: Literal['a', 'b']", "select id, written from pet", "no CHECK lists its values"),
        ("barred: Literal['a'] | None", "select id, barred from pet", "no CHECK lists its values"),
        ("far: Literal['a'] | None", "select id, far from pet", "no CHECK lists its values"),
        ("loud: Literal['a'] | None", "select id, loud from pet", "no CHECK lists its values"),
        ("open: Literal['a', 'b'] | None", "select id, open from pet", "no CHECK lists its values"),
        (KIND, "select id, kind from pet union all select 1, 'cow'", "no CHECK lists its values"),
    ],
)
def test_literal_for_other_text_is_found(toys: Toys, field: str, select: str, has: str) -> None:
    name = field.partition(":")[0]

    assert said(toys, field, select) == f"3: column 2 is text, Row.{name} says Literal; {has} [column-type]"


@pytest.mark.parametrize(
    ("field", "select"),
    [
        ("at: datetime.datetime", "select id, at from pet"),
        ("at: list[datetime.datetime]", "select 1 as id, array_agg(at) as at from pet"),
        ("at: asyncpg.Range[datetime.datetime]", "select id, tsrange(at, at) as at from pet"),
    ],
)
def test_timestamp_without_time_zone_is_found(toys: Toys, field: str, select: str) -> None:
    assert said(toys, field, select) == (
        "3: column 2 is timestamp without time zone, which leaves the zone unknown: use timestamptz [naive-timestamp]"
    )


def test_timestamp_without_time_zone_in_json_is_found(toys: Toys) -> None:
    select = "select 1 as id, json_agg(json_build_object('at', at)) as visits from pet"

    assert said(toys, "visits: list[Visit]", select).startswith(
        "3: column 2: visits[].at is timestamp without time zone"
    )


@pytest.mark.parametrize(
    ("field", "select"),
    [
        ("at: datetime.datetime = attrs.field(converter=utc)", "select id, at from pet"),
        ("at: datetime.datetime", "select id, at at time zone 'UTC' as at from pet"),
    ],
)
def test_converted_timestamp_is_accepted(toys: Toys, field: str, select: str) -> None:
    assert said(toys, field, select) == ""


def test_parameter_without_time_zone_is_found(toys: Toys) -> None:
    header = f"-- $1 since timestamp\n{HEADER}"

    assert said(toys, KIND, "select id, kind from pet where at > $1", header).startswith("2: $1 is timestamp without")


def test_timestamp_without_time_zone_is_accepted_with_a_reason(toys: Toys) -> None:
    header = f"{HEADER}-- naive-timestamp: ok on the wall clock of the shop\n"

    assert said(toys, "at: datetime.datetime", "select id, at from pet", header) == ""
    assert "accepts no finding" in toys.check("select id from pet", header, "marker")


@pytest.mark.parametrize(
    ("field", "select", "advice"),
    [
        ("at: date", "select id, current_date as at from maker", "service.models neither defines nor imports date"),
        ("x: list[Line]", "select id, '[]'::jsonb as x from maker", "service.models neither defines nor imports Line"),
        (
            "x: list[dict]",
            "select id, '[]'::jsonb as x from maker",
            "JSON becomes a str, an attrs class, a msgspec Struct, or a list of one",
        ),
    ],
)
def test_type_that_nothing_can_match_is_explained(toys: Toys, field: str, select: str, advice: str) -> None:
    assert said(toys, field, select).endswith(f"; {advice} [column-type]")


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        (
            "select id from pet where kind in ('cat', 'horse')",
            "'horse' is none of the values that a CHECK allows: cat, dog",
        ),
        ("select id\nfrom a_pet\nwhere 'horse' = kind", "'horse' is none of the values that a CHECK allows: cat, dog"),
        ("select id from pet where size = 'tiny'", "'tiny' is none of the values that a CHECK allows: large, small"),
        ("update pet set kind = 'horse' returning id", "'horse' is none of the values that a CHECK allows: cat, dog"),
        (
            "insert into pet (id, size) values (1, 'tiny') returning id",
            "'tiny' is none of the values that a CHECK allows: large, small",
        ),
        ("select id from pet where kind = 'cat' and padded = 'a' and name = 'horse'", ""),
        ("insert into filled (id, note) values (1, 'A') returning id", ""),  # the trigger can replace it
        ("select id from pet where kind like 'h%' or kind = any('{horse}')", ""),
        ("update pet set kind = case when name = 'horse' then 'cat' else kind end returning 'horse'", ""),
    ],
)
def test_constant_that_a_check_disallows_is_found(toys: Toys, sql: str, found: str) -> None:
    said = toys.check(sql, "-- returns: many\n", "disallowed-value")

    line = 2 + sql[: sql.find("'horse'")].count("\n") + 1
    assert said == (f"{line}: {found} [disallowed-value]" if found else "")
