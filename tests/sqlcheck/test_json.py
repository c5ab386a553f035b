"""Classes that are built from JSON, compared with the JSON of the query."""

import pytest

from tests.sqlcheck.conftest import Toys

MODELS = """
import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID
import attrs
import msgspec

@attrs.define
class Maker:
    id: int
    name: str

@attrs.define
class Noted(Maker):
    note: str | None

@attrs.define
class Stored(Noted):
    made: datetime.date | None
    tags: list[str | None]

class Toy(msgspec.Struct, frozen=True):
    id: int
    price: Decimal

@attrs.define
class Priced:
    id: int
    price: Decimal | None

class Shelf(msgspec.Struct):
    maker: Maker
    toys: list[Toy]
    size: int = 0

class Renamed(msgspec.Struct, rename="camel"):
    toy_id: int

@attrs.define
class Tree:
    id: int
    inside: "list[Tree]" = attrs.field(factory=list)

@attrs.define
class Kinds:
    made: datetime.date | None
    tags: list[str]
    kind: Literal["a", "b"]
    data: dict[str, Any]

@attrs.define
class MaybeMade:
    made: datetime.date | None

@attrs.define
class Two:
    a: int
    b: str

@attrs.define
class Twos:
    data: list[Two]

@attrs.define
class Lists:
    data: list[list[int]]

@attrs.define
class Either:
    id: int
    name: str | int

@attrs.define
class Row:
    id: int
    x: {annotation}
"""
MAKER = "jsonb_build_object('id', maker.id, 'name', maker.name)"
TOY = "jsonb_build_object('id', toy.id, 'price', toy.price)"
LEFT = "from toy left join maker on maker.id = toy.maker"
OF_MAKER = "from maker left join toy on toy.maker = maker.id group by maker.id"


def said(toys: Toys, annotation: str, select: str, header: str = "") -> str:
    """Return the findings about a query with an id and a second column that is read as `annotation`."""
    checks = ("column-type", "nullability", "null-unknown", "marker")
    models = MODELS.replace("{annotation}", annotation)
    return toys.check(select, f"-- returns: many Row\n{header}", *checks, models=models)


@pytest.mark.parametrize(
    ("annotation", "select"),
    [
        ("Maker", f"select id, {MAKER} as x from maker"),
        ("Maker", f"select id, {MAKER}::json as x from maker"),
        ("Maker", f"select id, coalesce({MAKER}, '{{}}') as x from maker"),
        ("Maker", "select id, json_build_object('name', name, 'id', id) as x from maker"),
        ("Maker", "select id, json_object('id': id, 'name': name) as x from maker"),
        ("Either", f"select id, {MAKER} as x from maker"),
        ("Lists", "select id, jsonb_build_object('data', array[name]::jsonb[]) as x from maker"),
        ("list[Toy] | None", f"select 1 as id, json_arrayagg({TOY} returning jsonb) as x from toy group by maker"),
        ("dict[str, Maker]", f"select 1 as id, jsonb_object_agg(name, {MAKER}) as x from maker group by id"),
        ("Maker", "select id, (select to_jsonb(m) from (select 1 as id, 'a' as name) as m) as x from maker"),
        ("Noted", "select id, jsonb_build_object('id', id, 'name', name, 'note', note) as x from maker"),
        ("Maker | None", f"select toy.id, case when maker.id is not null then {MAKER} end as x {LEFT}"),
        (
            "list[Toy]",
            f"select maker.id, coalesce(jsonb_agg({TOY}) filter (where toy.id is not null), '[]') as x {OF_MAKER}",
        ),
        ("list[Toy]", f"select maker.id, coalesce((select jsonb_agg({TOY}) from toy), '[]') as x from maker"),
        ("list[Toy] | None", f"select maker.id, (select jsonb_agg({TOY}) from toy) as x from maker"),
        ("list[Toy]", f"with t as (select jsonb_agg({TOY}) as x from toy group by maker) select 1 as id, x from t"),
        (
            "Shelf",
            (
                f"select maker.id, jsonb_build_object('maker', {MAKER}, 'toys', jsonb_agg({TOY})) as x"
                " from maker inner join toy on toy.maker = maker.id group by maker.id"
            ),
        ),
        ("Shelf", "select id, data as x from toy"),
        ("Renamed", f"select id, {TOY} as x from toy"),
        ("Tree", "select id, jsonb_build_object('id', id, 'inside', '[]'::jsonb) as x from toy"),
        (
            "Kinds",
            (
                "select id, jsonb_build_object('made', made, 'tags', array['a'], 'kind', name, 'data', '{}'::json) as x"
                " from maker"
            ),
        ),
        ("dict[str, Maker]", "select id, data as x from toy"),
        ("MaybeMade", "select id, jsonb_build_object('made', null) as x from maker"),
        ("Lists", "select id, jsonb_build_object('data', array[array[1]]) as x from maker"),
        ("Stored", "select a as id, to_jsonb(m) as x from maker as m (a, b)"),
        ("Stored", "select id, row_to_json(m.*) as x from (select maker.* from maker) as m"),
        ("Stored | None", "select toy.id, to_jsonb(m) as x from toy left join maker as m on m.id = toy.maker"),
        ("list[Stored]", "select 1 as id, json_agg(maker) as x from maker group by name"),
        ("Stored", "update maker set name = 'a' returning id, to_jsonb(new) as x"),
        ("Stored | None", "insert into maker (id, name) values (1, 'a') returning id, to_jsonb(old) as x"),
        (
            "Maker",
            "with recursive m as (select 1 as id, 'a' as name union table m) select id, to_jsonb(m) as x from m",
        ),
        ("Maker", "select id, to_jsonb(m) as x from (select id, name from maker union select id, '' from toy) as m"),
        (
            "Maker",
            "select id, to_jsonb(m) as x from (select id, note as name from maker) as m where m.name is not null",
        ),
    ],
)
def test_matching_class_is_accepted(toys: Toys, annotation: str, select: str) -> None:
    assert said(toys, annotation, select) == ""


@pytest.mark.parametrize(
    ("annotation", "select", "finding"),
    [
        ("Maker", "select id, name as x from maker", "column 2 is text, Row.x says Maker; a class is read from json"),
        (
            "list[Maker]",
            "select id, array[name] as x from maker",
            "column 2 is text[], Row.x says list[Maker]; a class",
        ),
        ("Maker", "select id, jsonb_build_object('id', id) as x from maker", "column 2: x lacks name of Maker"),
        ("Maker", "select id, row_to_json(toy)::jsonb as x from toy", "column 2: x lacks name of Maker"),
        ("Maker", "select id, (select row_to_json(toy))::jsonb as x from toy", "column 2: x lacks name of Maker"),
        (
            "Maker",
            "select id, jsonb_build_object('id', id, 'name', name, 'nane', 1) as x from maker",
            "column 2: x has nane, which Maker lacks",
        ),
        ("Maker", f"select id, {TOY} as x from toy", "column 2: x lacks name of Maker"),
        (
            "Maker",
            "select id, jsonb_build_object('id', name, 'name', name) as x from maker",
            "column 2: x.id is text in JSON, but the class says int",
        ),
        (
            "Kinds",
            "select id, jsonb_build_object('made', id, 'tags', array[1], 'kind', 'a', 'data', 1) as x from maker",
            (
                "column 2: x.made is integer in JSON, but the class says date | None [column-type]\n"
                "3: column 2: x.tags is integer[] in JSON, but the class says list[str] [column-type]\n"
                "3: column 2: x.data is integer in JSON, but the class says dict[str, Any] [column-type]"
            ),
        ),
        ("list[Maker]", f"select id, {MAKER} as x from maker", "column 2: x is an object in JSON, but the class says"),
        (
            "Maker",
            f"select 1 as id, jsonb_agg({MAKER}) as x from maker group by name",
            "column 2: x is an array in JSON",
        ),
        (
            "list[Toy]",
            "select 1 as id, jsonb_agg(jsonb_build_object('id', id, 'price', 'a'::text)) as x from toy group by maker",
            "column 2: x[].price is text in JSON, but the class says Decimal",
        ),
        (
            "Maker",
            f"select toy.id, {MAKER} as x {LEFT}",
            "column 2 can be null (an outer join makes it so), but Row.x.id does",
        ),
        (
            "Maker",
            "select id, jsonb_build_object('id', id, 'name', note) as x from maker",
            "column 2 can be null (maker.note allows it), but Row.x.name does not allow None [nullability]",
        ),
        (
            "list[Toy]",
            f"select maker.id, jsonb_agg({TOY}) as x {OF_MAKER}",
            "column 2 can be null (an outer join makes it so), but Row.x[].id does not allow None [nullability]",
        ),
        (
            "Maker",
            "select id, jsonb_build_object('id', id, 'name', to_number(name, '9')::text) as x from maker",
            "PostgreSQL cannot tell whether column 2 (x.name) can be null: allow None, or say 'not null: x.name'",
        ),
        (
            "Kinds",
            (
                "select id, jsonb_build_object('made', made, 'tags', array[note], 'kind', 'a', 'data', data) as x"
                " from maker cross join (select data from toy) as t"
            ),
            "elements of column 2 (x.tags) can be null: write list[… | None], or say 'not null: x.tags[]'",
        ),
        (
            "Maker",
            f"select id, coalesce((select {MAKER} from maker where maker.id = toy.maker), '{{}}') as x from toy",
            "column 2: x lacks id, name of Maker",
        ),
        ("Maker", "select id, to_jsonb(row()) as x from maker", "column 2: x lacks id, name of Maker"),
        (
            "list[Toy]",
            f"select 1 as id, coalesce(json_agg({TOY}), '{{}}') as x from toy",
            "column 2: x is an object in JSON, but the class says list[Toy]",
        ),
        ("Maker", "select id, to_jsonb(maker) as x from maker", "column 2: x has note, made, tags, which Maker lacks"),
        ("Maker", "select id, to_jsonb(toy) as x from toy", "column 2: x lacks name of Maker"),
        (
            "Maker",
            "select j.id, to_jsonb(j) as x from (owner natural join toy) as j",
            "column 2: x lacks name of Maker",
        ),
        (
            "Toy",
            "select id, jsonb_build_object('id', 1, 'price', t) as x from priced as t",
            "column 2: x.price is an object",
        ),
        (
            "Maker",
            "select id, to_jsonb(made_toy) as x from made_toy",
            "column 2 can be null (an outer join makes it so), but Row.x.name does not allow None [nullability]",
        ),
        (
            "Noted",
            "select id, to_jsonb(t) as x from toys_of(1) as t (id, name, note)",
            "column 2: x.name is numeric in JSON, but the class says str",
        ),
        ("Maker", "select id, to_jsonb(row(id, name)) as x from maker", "column 2: x lacks id, name of Maker"),
        (
            "Maker",
            "select 1 as id, to_jsonb(m) as x from maker cross join lateral (values (1, note)) as m (id, name)",
            "column 2 can be null (maker.note allows it), but Row.x.name does not allow None [nullability]",
        ),
        (
            "Priced",
            "select 1 as id, to_jsonb(p) as x from jsonb_populate_recordset(null::priced, '[]') as p",
            "PostgreSQL cannot tell whether column 2 (x.id) can be null",
        ),
        *(
            (
                "Maker",
                f"select id, jsonb_build_object('id', {value}, 'name', '') as x from maker",
                f"column 2: x.id is {kind}",
            )
            for value, kind in (
                ("(select count(*)::text from toy)", "text"),
                ("array(select id from toy)", "an array"),
                ("exists(select from toy)", "boolean"),
                ("id in (select maker from toy)", "boolean"),
                ("current_date", "date"),
                ("current_user", "name"),
                ('name collate "C"', "text"),
                ("to_jsonb(name)", "text"),
                ("to_json(current_date)::jsonb", "date"),
                ("'a'", "text"),
                ("name is json", "boolean"),
                ("json_value('1'::jsonb, '$' returning date)", "date"),
                ("json_serialize('1')", "text"),
                ("array_to_json(tags)", "text[]"),
            )
        ),
        *(
            ("Lists", f"select 1 as id, jsonb_build_object('data', {value}) as x from maker", f"column 2: {finding}")
            for value, finding in (
                ("array[1]", "x.data is integer[] in JSON, but the class says list[list[int]]"),
                ("array[array['a']]", "x.data is text[][] in JSON, but the class says list[list[int]]"),
            )
        ),
        *(
            ("Twos", f"select 1 as id, jsonb_build_object('data', {value}) as x {source}", finding)
            for value, source, finding in (
                ("array_agg(toy)", "from toy group by id", "column 2: x.data[] lacks a, b of Two"),
                ("array_agg(row(id))", "from toy group by id", "column 2: x.data[] lacks a, b of Two"),
                ("array[row(1, null)::two]", "from toy", "PostgreSQL cannot tell whether column 2 (x.data[].a)"),
            )
        ),
        (
            "Maker",
            "select 1 as id, to_jsonb(u) as x from unnest(array[1], array[2]) as u (id, name)",
            "column 2: x.name is integer in JSON, but the class says str",
        ),
        (
            "Maker",
            (
                "select 1 as id, to_jsonb(j) as x from json_table('[]', '$[*]'"
                " columns (id date path '$.a', name text path '$.b')) as j"
            ),
            "column 2: x.id is date in JSON, but the class says int",
        ),
        (
            "Maker",
            "select 1 as id, to_jsonb(r) as x from json_to_record('{}') as r (id date, name text)",
            "column 2: x.id is date in JSON, but the class says int",
        ),
        (
            "Kinds",
            (
                "select id, jsonb_build_object('tags', array(select note from maker), 'made', made, 'kind', '',"
                " 'data', d) as x from maker cross join (select data from toy) as t (d)"
            ),
            "column 2 can be null (maker.note allows it), but Row.x.tags[] does not allow None [nullability]",
        ),
    ],
)
def test_mismatching_class_is_found(toys: Toys, annotation: str, select: str, finding: str) -> None:
    assert said(toys, annotation, select).partition(": ")[2].startswith(finding)


@pytest.mark.parametrize(
    "built",
    [
        "json_build_object('id')",
        "jsonb_build_object('{id}'::text[])",
        "case when id > 1 then jsonb_build_object('id', 1) else to_jsonb(name) end",
        "coalesce(jsonb_build_object('id', 1), to_jsonb(name))",
        "coalesce(jsonb_build_object('id', 1), to_jsonb(name), '{}')",
        "(select jsonb_build_object('id', 1) union select to_jsonb(name))",
        "name::jsonb",
        "(select name)::jsonb",
    ],
)
def test_json_of_unknown_shape_is_accepted(toys: Toys, built: str) -> None:
    assert said(toys, "Maker", f"select id, to_jsonb({built}) as x from maker") == ""


def test_nested_null_is_accepted_with_a_reason(toys: Toys) -> None:
    select = "select id, jsonb_build_object('id', id, 'name', note) as x from maker"

    assert said(toys, "Maker", select, "-- not null: x.name (each maker has a note since 2020)\n") == ""


def test_reason_for_a_missing_key_is_found(toys: Toys) -> None:
    select = f"select id, {MAKER} as x from maker"

    assert said(toys, "Maker", select, "-- not null: x.note (there is one)\n") == (
        "3: 'not null' names x.note, which is no column [marker]"
    )
