"""Which columns of a result may be null."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service.postgres.queries import read_query
from service.sqlcheck.description import Describer
from service.sqlcheck.nullability import column_nullability
from tests.support.checkouts import Connection

FROM_MADE = " select made.id, made.note from made"
Judge = Callable[..., list[str]]


@pytest.fixture(scope="module")
def describer(checked: Connection) -> Describer:
    """Return what asks PostgreSQL."""
    checked.execute("create table maker (id integer primary key, name text not null, note text, made date)")
    checked.execute("create table toy (id integer primary key, maker integer references maker, price numeric not null)")
    checked.execute("create view priced as select id, price from toy")
    return Describer(checked)


@pytest.fixture
def judge(describer: Describer, tmp_path: Path) -> Judge:
    """Return what judges each column of a statement: never null, null by a join, null by itself, or who knows."""

    def judge(sql: str, header: str = "-- returns: many Toy\n") -> list[str]:
        path = tmp_path / "sql" / "toys" / "list_toys.sql"
        path.parent.mkdir(parents=True)
        word, _, rest = sql.partition(" ")
        path.write_text(f"-- toys.list_toys: lists toys\n{header}{word} /* toys.list_toys */ {rest};\n")
        description = describer.describe(read_query("toys.list_toys", tmp_path / "sql"))
        return [
            "never" if nulls.never else "who knows" if not nulls.known else "join" if nulls.joins else "itself"
            for nulls in column_nullability(description, describer.not_null)
        ]

    return judge


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("select id, note from maker", ["never", "itself"]),
        ("select m.id, m.note from maker as m", ["never", "itself"]),
        ("select p.id from priced as p", ["never"]),
        ("select maker.id, toy.id from maker left join toy on toy.maker = maker.id", ["never", "join"]),
        ("select maker.id, toy.id from toy right join maker on toy.maker = maker.id", ["never", "join"]),
        ("select maker.id, toy.id from maker full join toy on toy.maker = maker.id", ["join", "join"]),
        ("select toy.id from maker left join toy on toy.maker = maker.id where toy.price > 1", ["never"]),
        ("select toy.id is null from maker left join toy on toy.maker = maker.id", ["never"]),
        ("select toy.price * 2 from maker left join toy on toy.maker = maker.id", ["join"]),
        ("select coalesce(toy.price, 0) from maker left join toy on toy.maker = maker.id", ["never"]),
        ("select coalesce(note, name), coalesce(note, made::text) from maker", ["never", "who knows"]),
        ("select name = 'a' and id > 1, note = 'a', name || note from maker", ["never", "itself", "itself"]),
        ("select id in (1, 2), note is distinct from name, -id from maker", ["who knows", "never", "never"]),
        (
            "select case when id > 1 then name else 'a' end, case when id > 1 then name end from maker",
            ["never", "who knows"],
        ),
        ("select count(*), max(id) from maker", ["never", "who knows"]),
        (
            "select 1, null::text, 'a'::text, array[1], now(), current_date, current_schema",
            ["never", "itself", "never", "never", "never", "never", "who knows"],
        ),
        ("select exists (select from toy), (select min(id) from toy)", ["never", "who knows"]),
        ("select page.id from (select id from maker order by name limit 3) as page where page.id > 1", ["never"]),
        ("select toy.price * 2 from toy cross join (select toy.id from toy limit 1) as other", ["who knows"]),
        (
            "select m.id, page.id from maker as m cross join (select 1 as id union all select id from toy) as page",
            ["never", "who knows"],
        ),
        ("select greatest(id, 1) from maker", ["never"]),
        ('select note collate "C" from maker', ["who knows"]),
        ("select (page.low || 'a') from (select lower(name) as low from maker offset 0) as page", ["who knows"]),
        ("select name || 'a' from (select note as name from maker) as made", ["who knows"]),
        ("select maker.name || 'a' from (select note as name from maker) as maker", ["who knows"]),
        ("select m.name || 'a' from maker as m inner join (select id from toy) as n on n.id = m.id", ["never"]),
        ("select page.n from (select name as n from maker where false) as page", ["who knows"]),
        ("select id from maker union all select maker from toy", ["who knows"]),
        ("select id, count(*) from maker group by grouping sets ((id), ())", ["who knows", "who knows"]),
        ("select * from maker", ["who knows"] * 4),
        ("insert into maker (id, name) values (1, 'a') returning id, note", ["never", "itself"]),
        ("select made.id from (select id from toy offset 0) as made", ["never"]),
        ("select made.maker from (select maker from toy offset 0) as made", ["itself"]),
        ("select number from generate_series(1, 2) as number", ["who knows"]),
        ("select lower(page.name) from (select name from maker offset 0) as page", ["who knows"]),
        ("select page.low from (select lower(name) as low from maker) as page", ["who knows"]),
        (
            "select id from maker, lateral (select from toy where toy.maker = maker.id) as t where name = note",
            ["never"],
        ),
        # An anti join in the plan.
        ("select toy.id from maker left join toy on toy.maker = maker.id and price > 1 where toy.id is null", ["join"]),
        ("select m.name, m.id from maker as m (id, b, name)", ["who knows", "who knows"]),
        ("select m.name || 'a' from maker as m (id, b, name)", ["who knows"]),
    ],
)
def test_nullability_follows_plan_and_expressions(judge: Judge, sql: str, columns: list[str]) -> None:
    assert judge(sql) == columns


@pytest.mark.parametrize(
    ("with_", "columns"),
    [
        ("made as (insert into maker (id, name) values (1, 'a') returning id, note)", ["never", "itself"]),
        (
            "made as materialized (select maker.id, price as note from maker left join toy on maker = maker.id)",
            ["never", "join"],
        ),
        ("made as materialized (select id, lower(name) as note from maker)", ["never", "who knows"]),
        ("made as materialized (select id, (maker.note)::text from maker)", ["never", "itself"]),
        ("made (id, note) as materialized (select note, id from maker)", ["who knows", "who knows"]),
    ],
)
def test_common_table_expressions_are_followed(judge: Judge, with_: str, columns: list[str]) -> None:
    assert judge("with " + with_ + FROM_MADE) == columns


@pytest.mark.parametrize(("mark", "column"), [("", "never"), ("?", "itself")])
def test_parameter_is_null_if_the_header_allows_it(judge: Judge, mark: str, column: str) -> None:
    header = f"-- $1 note text{mark}\n-- returns: many Toy\n"

    assert judge("select $1::text, page.note from (select $1::text as note) as page", header) == [column, column]


def test_column_null_only_with_the_first_is_not_nullable(judge: Judge) -> None:
    sql = "select toy.id, toy.price, maker.note, toy.maker from maker left join toy on toy.maker = maker.id"

    assert judge(sql, "-- returns: maybe Toy\n") == ["never", "never", "itself", "itself"]
