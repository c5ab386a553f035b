"""Whether a query always returns a row."""

import pytest

from tests.sqlcheck.conftest import Toys, toy_header

NONE = "no row is possible: return maybe, or say 'cardinality: ok reason' [cardinality]"
MERGE = "merge into maker using (values (1)) as v (n) on maker.id = v.n when matched then update set name = 'b' "
INSERT = "when not matched then insert (id, name) values (v.n, 'a') "
WITH_MADE = "with made as (insert into owner (maker, id) values (1, 2) returning maker) "


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) from maker",
        "select 1",
        "values (1)",
        "select page.n from (select count(*) as n from maker) as page left join maker on maker.id = page.n",
        "select 1 union all select id from maker where id = 1 limit 1",
        "select o from opaque() as o",
        "insert into maker (id, name) values (1, 'a') returning id",
        "insert into maker (id, name) values (1, 'a') on conflict (id) do update set name = 'a' returning id",
        "with one as (insert into maker (id, name) values (1, 'a') returning id) select one.id from one",
        MERGE + INSERT + "returning id",
        WITH_MADE + "insert into owner (maker, id) select made.maker, 3 from made returning id",
        WITH_MADE + "insert into maker (id, name) values (1, 'a') on conflict (id) do update set id = 1 returning id",
        "insert into filled (id) values (1) returning id",
        "insert into watched (id) values (1) on conflict (id) do update set name = 'a' returning id",
        MERGE.replace("maker.", "filled.").replace("maker", "filled") + INSERT + "returning id",
    ],
)
def test_guaranteed_row_is_accepted_as_one(toys: Toys, sql: str) -> None:
    assert toys.check(sql, "-- returns: one Toy\n", "cardinality") == ""


@pytest.mark.parametrize(
    "sql",
    [
        "select id from maker where id = $1",
        "select id from maker union select id from toy limit 1",
        "select 1 from maker left join (values (1)) as v (n) on true limit 1",
        "select 1 from (values (1)) as v (n) right join maker on true limit 1",
        "select 1 where lives($1)",
        "select m.id from maker_of($1) as m limit 1",
        "select 1 where now() > '2020-01-01'",
        "select o.n from (select max(id) as n from owner) as o inner join owner as p on p.id = o.n",
        "select m.id from (values (1)) as v left join owner as o on o.id = 1 inner join maker as m on m.id = o.maker",
        "select 1 offset 1",
        WITH_MADE + "select m.id from made inner join maker as m on m.id = made.maker",
        "select 1 limit 0",
        "select 1 limit 0.2",
        "select 1 limit 2::bit(1)::integer",
        "select count(*) from maker limit length('a')",
        "select count(*) from maker having count(*) > 1",
        "select 1 where false",
        "select id from maker limit 1",
        "select maker.id from (values (1)) as v left join maker on maker.id = 1 limit 1 for update of v skip locked",
        "select unnest('{1}'::integer[]) limit 1",
        "select 1 except select id from maker limit 1",
        "select maker.id from (select 1 as id) as one inner join maker on maker.id = one.id",
        "select maker.id from (select 1 as id) as one inner join maker on maker.id > one.id and maker.name = 'a'",
        "insert into maker (id, name) values (1, 'a') on conflict do nothing returning id",
        "insert into box as b values (1, 2) on conflict (id, size) do update set label = '' where b.id > 1 returning 1",
        "insert into skipped (id) values (1) returning id",
        "insert into unset (id) values (1) returning id",
        "insert into reread (id) values (1) returning id",
        "insert into alike (id) values (1) on conflict (id) do update set id = 1 returning id",
        "insert into filled_view (id) values (1) returning id",
        WITH_MADE + "insert into owner (maker, id) values (1, 2) on conflict (id) do update set maker = 1 returning id",
        "select n from strict_ones(null) as n",
        "select 1 limit '0.2'::float8",
        "update maker set note = 'a' where id = 1 returning id",
        MERGE + "returning id",
        MERGE + "when not matched and n > 1 then insert (id, name) values (n, 'a') returning id",
        MERGE.replace("then", "and n > 1 then do nothing when matched then") + INSERT + "returning id",
        MERGE.replace("then update", "and v.n > 1 then update") + INSERT + "returning id",
        "with recursive up as (select 1 as id union select id + 1 from up where id < 9) select id from up limit 1",
    ],
)
def test_row_that_can_be_missing_is_not_one(toys: Toys, sql: str) -> None:
    assert toys.check(sql, toy_header(sql, "one"), "cardinality").endswith(f": returns one, and {NONE}")


@pytest.mark.parametrize(
    "sql",
    [
        "select caller.id, toy.id from maker_of($1) as caller left join toy on toy.id = caller.id",
        "select caller.maker from live as caller where caller.id = $1",
        "select m.id from live as caller inner join maker as m on m.id = caller.maker where caller.id = $1",
        "delete from maker using live as caller where caller.id = $1 and maker.id = caller.maker returning maker.id",
        "select m.id from (select id from maker_of($1)) as c inner join maker as m on m.id = c.id and lives($1)",
        "select m.id from live as c, owner as o, maker as m where c.id = $1 and o.id = c.id and m.id = o.maker",
        "select c.id from (select max(id) as id from owner) as c where c.id = $1",
        "select id from maker_of($1) union all select id from maker_of($1) where name > 'a' limit 1",
    ],
)
def test_session_is_assumed_valid(toys: Toys, sql: str) -> None:
    assert toys.check(sql, "-- $1 session integer\n-- returns: one Toy\n", "cardinality") == ""


@pytest.mark.parametrize(
    "sql",
    [
        "select f.maker from live as caller inner join fan as f on f.maker = $1 where caller.id = $1",
        "select p.code from live as caller inner join parent as p on p.id = $1 where caller.id = $1 limit 1",
        "select v.n from live as caller right join (values (1)) as v (n) on v.n = caller.id where caller.id = $1",
        "select caller.id from live as caller where caller.maker = $1 limit 1",
        "select caller.id from live as caller where abs(caller.id) = $1 limit 1",
        "select caller.id from (select id, id > 5 as old from owner) as caller where caller.id = $1 and caller.old",
        "select m.id from toy as caller inner join maker as m on m.id = caller.maker where caller.id = $1",
        "select g.id from live as caller cross join gones() as g where caller.id = $1 limit 1",
        "select m.id from live as caller cross join maker_of(caller.id) as m where caller.id = $1",
        "select m.id from live as c, lateral (select id from maker where c.id = $1) as m where c.id = $1 limit 1",
        (
            "with u as (update maker set note = '' from live as c where c.id = $1 and maker.id = c.maker returning 1),"
            " other as (update maker set note = 'a' where id = 2) select 1 from u"
        ),
    ],
)
def test_row_beside_the_session_can_be_absent(toys: Toys, sql: str) -> None:
    assert NONE in toys.check(sql, "-- $1 session integer\n-- returns: one Toy\n", "cardinality")


def test_user_of_a_session_is_known(toys: Toys) -> None:
    sql = "delete from maker using live as c where c.id = $1 and c.maker = $2 and maker.id = $2 returning maker.id"
    header = "-- $1 session integer\n-- $2 user integer\n-- returns: one Toy\n"

    assert toys.check(sql, header, "cardinality") == ""


@pytest.mark.parametrize("cardinality", ["maybe", "many"])
@pytest.mark.parametrize(
    ("rest", "found"),
    [
        ("left join toy on toy.id = caller.id order by toy.id limit $2", False),
        ("left join toy on toy.id = caller.id order by toy.id limit 1 offset $2", True),
        ("inner join toy on toy.id = caller.id and toy.id > $2", True),
        ("left join toy on toy.id = caller.id where toy.id > $2", True),
        ("cross join maker_of($2) as toy", True),
    ],
)
def test_valid_session_without_a_row_would_be_401(toys: Toys, rest: str, cardinality: str, *, found: bool) -> None:
    header = f"-- $1 session integer\n-- $2 number integer\n-- returns: {cardinality} Toy\n"

    says = toys.check(f"select toy.id from maker_of($1) as caller {rest}", header, "cardinality")

    assert ("no row is possible for a valid session, which is 401" in says) == found
