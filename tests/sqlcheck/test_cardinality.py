"""The number of rows that a query can return."""

import pytest

from tests.sqlcheck.conftest import Toys, toy_header

SEVERAL = (
    "several rows are possible: compare a unique key with `=`, write `limit 1`, or say 'cardinality: ok reason' "
    "[cardinality]"
)


MERGE = "merge into maker using (values (1)) as v (n) on maker.id = v.n when matched then update set name = 'b' "
INSERT = "when not matched then insert (id, name) values (v.n, 'a') "


@pytest.mark.parametrize(
    "sql",
    [
        "select id from maker where id = $1",
        "select id from maker where $1 = id and note is null",
        "select note from part where id = $1",
        "select name from maker where name = 'a' and id < $1",
        "select name from maker where name = 'a'::varchar limit $1",
        "select toy.id from toy where lower(data ->> 'name') = lower('A') and price > 0 and id <> $1",
        "select id from noted where id = $1 and note = 'A'",
        "select left_id from pair where left_id = $1 and right_id = (select max(id) from maker)",
        "select toy.id from maker inner join toy on toy.id = maker.id where maker.id = $1",
        "select maker.id from toy left join maker on maker.id = toy.maker where toy.id = $1",
        "select maker.id from toy right join maker on toy.id = maker.id where maker.id = $1",
        "select id from maker order by made limit 1 offset $1",
        "select count(*) from maker where id > $1",
        "select name, count(*) from maker where name = 'a' and id > $1 group by name",
        "select toy.id, max(box.id) from toy left join box on box.id = toy.id where toy.id = $1 group by toy.id",
        "select n.n from maker cross join lateral (select max(id) as n from toy) as n where maker.id = $1",
        "select distinct id from maker where id = $1",
        "select id from (select max(id) as id from toy) as newest where id > $1",
        "select t.id from (select distinct maker as id from toy) as t where t.id = $1",
        "select t.id from (select maker as id from toy union select id from maker) as t where t.id = $1",
        "select id from maker where id = $1 intersect all select maker from toy",
        "select id from maker intersect all select id from toy where id = $1",
        "select id from maker where id = $1 except select maker from toy",
        "with one as (select id from maker where id = $1) select one.id from one",
        "select v.n from (values ($1::integer)) as v (n) where v.n > 1",
        "select id from maker where id = 1 and $1::integer > 2",
        "select m.id from maker_of($1) as m",
        "select g.note from gones() as g where g.id = $1",
        "select o from opaque() as o where o > $1",
        "select p.id from priced as p where p.id = $1",
        "select code from brand where name === 'a' and rank > $1",
        "select distinct price from toy where price = $1",
        "select x from (select price from toy union select id from toy) as t (x) where x = $1",
        "select id from maker natural join (select 1 as id) as one where id = $1",
        "insert into maker (id, name) values ($1, 'a') on conflict do nothing returning id",
        "insert into maker (id, name) select 1, 'a' from toy where id = $1 returning id",
        "update maker set note = 'a' from toy where maker.id = $1 and toy.maker = maker.id returning maker.id",
        "delete from maker where id = $1 returning id",
        "update told_toy as t set price = 1 from maker as m where t.id = $1 and m.id = t.id returning t.id",
        "with u as (update pair set note = '' where left_id = $1 returning *) select 1 from u where right_id = 2",
        "with d as (delete from pair where left_id = $1 returning right_id) select 1 from d where right_id = 2",
        "select maker.name from toy left join maker on maker.id = toy.maker where toy.id = $1 group by maker.name",
        "select id from maker where id in (select maker from toy where id = $1)",
        "select id from maker where id = $1 and exists (select from toy full join owner using (id) where price > 1)",
        "with t as (select id from toy where id = $1) update maker set note = '' where id in (table t) returning id",
        "select note from pair where (left_id, right_id) in (select id, maker from toy where id = $1)",
        MERGE + "when not matched and n > $1 then insert (id, name) values (n, 'a') returning id",
        "merge into maker using (select $1::integer as n) as v on name = 'a' when matched then delete returning v.n",
        "select t.w from (select distinct price::text as w from toy) as t where t.w = 'a' limit $1",
        "select t.id from (select id, row_number() over () as n from toy) as t where t.n = $1",
        (
            "select t.id from (select id, maker, row_number() over (partition by maker order by price) as n from toy)"
            " as t where t.n = 1 and t.maker = $1"
        ),
        "select value from setting where value > $1",
        "select node from leader where node > $1",
        "select only_one.name from only_one cross join setting where value > $1",
        "select toy.id from toy left join maker on maker.id = toy.id where maker.name = 'a' and maker.note > ''",
    ],
)
def test_at_most_one_row_is_maybe(toys: Toys, sql: str) -> None:
    assert toys.check(sql, toy_header(sql, "maybe"), "cardinality") == ""


@pytest.mark.parametrize(
    "sql",
    [
        "select id from maker where id > $1",
        "select id from maker where id = $1 or id = 2",
        "select id from maker where id + 0 = $1",
        "select note from maker where note = 'a' and id > $1",
        "select left_id from pair where left_id = $1",
        "select toy.id from toy where lower(data ->> 'name') = 'a' and id > $1",
        "select toy.id from maker inner join toy on toy.maker = maker.id where maker.id = $1",
        "select toy.id from maker left join toy on toy.maker = maker.id where maker.id = $1",
        "select toy.id from toy left join maker on toy.id = $1 and maker.id = 2",
        "select maker.id from maker full join toy on toy.id = maker.id where maker.id = $1 or toy.id = $1",
        "select id from maker where id = $1 * (random() * 2)::integer",
        "select id from maker order by id fetch first 1 row with ties offset $1",
        "select generate_series(1, 2) from maker where id = $1",
        "select unnest(array_agg(id)) from maker where id > $1",
        "select id from maker where id = $1 union all select id from toy where id = $1",
        "select id from maker except select id from toy where id = $1",
        "select t.id from (select id from maker union all select id from toy except all select 1) as t where t.id = $1",
        "select name, count(*) from maker where id > $1 group by name",
        "select id from maker where id = any (array[$1, 2])",
        "select v.n from (values ($1::integer), (2)) as v (n)",
        "select n from generate_series(1, $1) as n",
        "select opaque() from maker where id = opaque() + $1",
        "select p.id from parent as p where p.id = $1",
        "select count(*) from maker where id > $1 group by grouping sets ((), ())",
        "select t.id from rows from (maker_of($1), generate_series(1, 2)) as t (id, name, n)",
        "select t.id from maker, (select distinct maker as id from toy) as t where maker.id = $1",
        "select b.id from toy as a, toy as b where a.id = $1 and a.price > 0 and lower(b.data ->> 'name') = 'a'",
        "select b.id from toy as a, toy as b where a.id = $1 and b.price > 0 and lower(a.data ->> 'name') = 'a'",
        "select 1 from toy left join maker as m on price > 0 and m.id = 1 where lower(data ->> 'name') = $1::text",
        "select 1 from toy left join maker as m on lower(data ->> 'name') = 'a' and m.id = 1 where price > $1",
        "select toy.id from toy where lower(data ->> 'name') = data ->> 'b' and price > 0 and id > $1",
        "select toy.id from toy where lower(data ->> 'name') === 'a' and price > 0 and id > $1",
        "select id from noted where id = $1 and amount = 1.0",
        "select id from noted where id > $1 and note = 'A'",
        "select id from noted where id > $1 and note = 'x'",
        "select node from voter where node > $1",
        "select node from latest where node > $1",
        "with recursive up as (select $1::integer as id union select id + 1 from up where id < 9) select id from up",
        "merge into maker using toy on toy.id = $1 when matched then delete returning maker.id",
        "merge into maker using toy on maker.id = toy.id and toy.id = $1 when matched then delete returning toy.id",
        "merge into maker using (values (1)) as v (n) on maker.id > $1 when matched then delete returning v.n",
        "merge into maker as m using toy on m.id = $1 when not matched then insert values (toy.id, 'a') returning m.id",
        MERGE + INSERT + "when not matched by source and id > $1 then delete returning id",
        "select max(id) over () from maker where id > $1",
        "select name, count(*) from maker where id = $1 group by rollup (name)",
        "select maker.name from toy left join maker on maker.id = $1 and toy.maker = maker.id group by maker.name",
        "select m.id from maker as m, lateral (select max(id) from toy where maker = m.id) as t (id) where m.id = t.id",
        "select maker.id, $1 from maker inner join twice(maker.id) as t on t = maker.id",
        "select distinct maker.id from toy left join maker on maker.id = $1 and toy.maker = maker.id",
        "select length(word.word), $1 from word where word.word = 'a'::char(2)",
        "select t.id from toys_of($1) as t",
        "select g.id from gones() as g where g.note = 'a' and g.id > $1",
        "select t.id from whole_toys() as t where t.id = $1",
        "select t.id from toys_of(1) with ordinality as t where t.ordinality = $1",
        "select id from maker where id = $1 +? 1",
        "select code from brand where code === 'a' and rank > $1",
        "select n from (select row_number() over (partition by count(*)) as n from toy group by id) as t where n = $1",
        "select t.i from maker, lateral (select maker.id, toy.id from toy) as t (m, i) where m = $1 and maker.id = $1",
        "select a.id, $1 from (select 1 as id) as a full join (select 2 as id) as b on a.id = b.id",
        "select b.id, $1 from (select 1) as a full join (select 2 as id) as b on false group by b.id",
        "select distinct price::text from toy where price = $1",
        "select price::text from toy where price = $1 group by price::text",
        "select t.a from (select abs(rank) as a, code from brand group by abs(rank), code, rank) as t where t.a = $1",
        "select id from maker where id > $1 limit ten(1)",
        "update ruled set name = 'a' where id = $1 returning id",
        "update ruled_view set name = 'a' where id = $1 returning id",
        "update told_toy as t set price = 1 from maker as m where t.id = $1 and m.id > t.id returning t.id",
        "select m.id from maker as m left join toy on toy.id = $1 and m.note = '' where m.id = coalesce(toy.id, 0)",
        (
            "select m.id from maker as m left join toy on toy.id = $1 and m.note = '',"
            " lateral (select coalesce(toy.id, 0) as n) as l where m.id = l.n"
        ),
        "select octet_length(word), $1 from spaced where word = 'a' group by octet_length(word)",
        (
            "with u as (update pair set left_id = right_id, right_id = 2 where left_id = $1 returning right_id)"
            " select 1 from u where right_id = 2"
        ),
        (
            "with u as (update pair set left_id = right_id, right_id = 2 returning old.left_id, new.right_id)"
            " select 1 from u where left_id = $1 and right_id = 2"
        ),
        "select id from maker as m where id in (select t.id from toy as t where t.id = m.id) and id > $1",
        "select id from maker where id in (select id from toy where maker = $1)",
        "select id from maker where id in (select id from toy limit 1) and id > $1",
        "select id from maker where id in (select max(t.id) from (select id from toy for update) as t) and id > $1",
        "select id from maker where id in (select (random() * $1)::integer)",
        "select id from maker where id in (select n from first_toy() as n) and id > $1",
        "select id from maker where id >= any (select id from toy where id = $1)",
        "select id from maker where id not in (select id from toy where id = $1)",
        "select id from maker where id = all (select id from toy where id = $1)",
        "select id from maker where id in (select id from any_toy) and id > $1",
        "select note from pair where (left_id, 1) in (select id, maker from toy where id = $1)",
        "select id from maker where case when note = 'a' then id = $1 else id = 2 end",
        "select id from maker where case when $1 > 0 then id = $1 else true end",
        "select id from maker where case when $1 > 0 then id = $1 else note = 'a' end",
        "select id from maker where case note when 'a' then id = $1 when 'b' then id = 2 end",
        (
            "select maker.id from owner left join toy on toy.id = $1 and owner.id > 1"
            " inner join maker on case when toy.id is null then maker.id = 1 else maker.id = 2 end"
        ),
        "select t.id from (select id, rank() over (order by price) as n from toy) as t where t.n = $1",
        "select t.id from (select id, row_number() over (partition by maker) as n from toy) as t where t.n = $1",
        "select t.id from (select id, row_number() over () as n from toy) as t where t.n < $1",
        "select t.w from (select distinct on (id) price::text as w from toy) as t where t.w = 'a' limit $1",
        "select at from hour where at = to_timestamp($1)",
        "select id from mostly_one where id > $1",
        "select value from setting_of where value > $1",
    ],
)
def test_several_rows_are_not_maybe(toys: Toys, sql: str) -> None:
    header = toy_header(sql, "maybe")

    assert toys.check(sql, header, "cardinality").endswith(f": returns maybe, and {SEVERAL}")


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("select (select id from toy\nwhere maker = m.id) as toy from maker as m", True),
        ("update maker set note = 'a' where id = (select maker\nfrom toy where price > 1)", True),
        ("update maker set (name, note) = (select 'a', label\nfrom box where id = 1)", True),
        ("with t as (select 1 where (1, 2) = (select 1, id\nfrom toy)) select 1 from t", True),
        ("select (select generate_series(1,\n2)) as n", True),
        ("select (select name from maker where id = t.maker) as maker from toy as t", False),
        ("select (select id from toy order by id limit 1) as toy, (select max(id) from toy) as last", False),
        ("select array(select id from toy) as toys, exists (select id from toy) as some", False),
    ],
)
def test_subquery_with_several_rows_is_no_value(toys: Toys, sql: str, *, found: bool) -> None:
    says = toys.check(sql, "-- returns: many Toy\n", "cardinality")

    assert ("a subquery used as a value can return several rows" in says) == found


def test_reason_is_accepted(toys: Toys) -> None:
    header = "-- returns: maybe Toy\n-- cardinality: ok names are unique\n"

    assert toys.check("select id from maker where note = 'a'", header, "cardinality", "marker") == ""


def test_unneeded_reason_is_found(toys: Toys) -> None:
    header = "-- returns: maybe Toy\n-- cardinality: ok there is one\n"

    assert toys.check("select id from maker where id = 1", header, "marker") == (
        "3: 'cardinality: ok' accepts no finding: remove it [marker]"
    )


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ("maker.id, toy.id", ""),
        ("maker.note, toy.id", "maker.note allows it"),
        ("opaque() as note, toy.id", "PostgreSQL cannot tell"),
        ("toy.id, maker.id", "an outer join leaves only some rows unmatched"),
        ("caller.id, toy.id", ""),
    ],
)
def test_row_that_begins_with_null_would_be_lost(toys: Toys, columns: str, why: str) -> None:
    joins = "left join maker on maker.id > caller.id left join toy on toy.id = maker.id"
    sql = f"select {columns} from maker_of($1) as caller {joins}"

    found = toys.check(sql, "-- $1 session integer\n-- returns: many Toy\n", "lost-row")

    assert (f" is null ({why}): begin with" in found) if why else not found


@pytest.mark.parametrize("cardinality", ["maybe", "many"])
@pytest.mark.parametrize(
    ("columns", "joins", "lost"),
    [
        ("toy.id, maker.name", "left join toy on toy.id = caller.id left join maker on maker.id = toy.maker", False),
        ("maker.id, toy.price", "left join toy on toy.id = caller.id left join maker on maker.id = toy.maker", True),
        ("toy.id, box.size", "left join toy on toy.id = caller.id left join box on box.id = caller.id", True),
        ("toy.id, maker.name", "inner join maker on maker.id > caller.id left join toy on toy.id = maker.id", True),
        ("t.id, t.price", "left join lateral (select id, price from toy where id = caller.id) as t on true", False),
        (
            "toy.id, box.size",
            (
                "left join toy on toy.id = caller.id "
                "left join lateral (select size from box where id = toy.id) as box on true"
            ),
            False,
        ),
        (
            "t.id, t.price",
            "left join (select toy.price, m.id from toy left join maker as m on true) as t on true",
            True,
        ),
    ],
)
def test_row_of_another_join_would_be_lost(
    toys: Toys, columns: str, joins: str, cardinality: str, *, lost: bool
) -> None:
    header = f"-- $1 session integer\n-- returns: {cardinality} Toy\n"

    assert bool(toys.check(f"select {columns} from maker_of($1) as caller {joins}", header, "lost-row")) == lost


def test_marker_accepts_a_null_first_column(toys: Toys) -> None:
    header = "-- $1 session integer\n-- returns: many Toy\n-- not null: note (each has one)\n"

    assert toys.check("select note from maker where id = $1", header, "lost-row") == ""
