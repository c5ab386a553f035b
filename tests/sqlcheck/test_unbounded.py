"""Queries without a bound: scans of whole indexes, cross joins, lists without a limit."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.sqlcheck.analysis.description import Describer
from service.sqlcheck.scratch import connect
from tests.sqlcheck.conftest import FOLDER, Toys

UNLIMITED = "returns many, and nothing limits how many: write `limit $n`, or say 'unlimited: ok reason' [unlimited]"


# A partial GiST index costs a little less than the primary key.
STAYS = """
    create table stay (id integer primary key, during tstzrange, is_kept boolean);
    alter table stay add exclude using gist (during with &&) where (is_kept);
    insert into stay values (1, '[2026-01-01,2026-01-02)', true), (2, '[2026-01-03,2026-01-04)', true);
    analyze stay
"""


def header(sql: str, accepted: str = "") -> str:
    """Return the header of a list."""
    kind = "integer[]" if "any" in sql or "unnest" in sql else "integer"
    return (f"-- $1 n {kind}\n" if "$1" in sql else "") + f"-- returns: many Toy\n{accepted}"


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) from toy",
        "select distinct maker from owner order by maker",
        "select id from toy order by id",
        "select max(maker) from owner group by id",
        "select id from (select id, row_number() over (order by id) from toy) as t limit 1",
        "select array(select id from toy) from owner limit 1",
        "select id from mostly_one",
        "select id from archive.only_one",
    ],
)
def test_whole_index_is_a_scan(toys: Toys, sql: str) -> None:
    assert "no condition limits its rows [seqscan]" in toys.check(sql, header(sql), "seqscan")


@pytest.mark.parametrize("columns", ["note", "left_id", "left_id order by left_id limit 10"])
def test_index_that_begins_with_another_column_does_not_serve(toys: Toys, columns: str) -> None:
    selected, _, order = columns.partition(" ")
    sql = f"select {selected} from pair where right_id = $1 {order}"

    assert "no index for (pair.right_id = $1) [seqscan]" in toys.check(sql, header(sql), "seqscan")


@pytest.mark.parametrize(
    ("sql", "condition"),
    [
        ("select p.note from toy inner join pair as p on p.right_id = toy.maker where toy.id = $1", "= toy.maker)"),
        ("delete from pair where right_id in (select id from toy where id < $1)", "(pair.right_id = toy.id)"),
        (
            "select m.id from brand as b left join maker as m on m.note = b.name and m.made is null where b.rank = $1",
            "(m.note = b.name) and (m.made IS NULL)",
        ),
    ],
)
def test_join_without_an_index_is_named(toys: Toys, sql: str, condition: str) -> None:
    found = toys.check(sql, header(sql), "seqscan")

    assert "no index for (" in found
    assert f"{condition} [seqscan]" in found


@pytest.mark.parametrize(
    "sql",
    [
        "select id, exists (select from toy where toy.id = owner.id and price > $1) from owner order by id limit 1000",
        "select relname::text from pg_class inner join pg_namespace as n on n.oid = relnamespace where n.oid = $1",
    ],
)
def test_index_for_exists_and_scans_of_the_catalogue_are_accepted(toys: Toys, sql: str) -> None:
    assert toys.check(sql, header(sql), "seqscan") == ""


def test_scan_of_a_single_row_is_accepted(toys: Toys) -> None:
    assert toys.check("select value from setting where value > 1", header(""), "seqscan") == ""


def test_exists_of_any_row_is_no_scan(toys: Toys) -> None:
    sql = "select id from owner where id = $1 and not exists (table toy)"

    assert toys.check(sql, header(sql), "seqscan") == ""


def test_exists_without_an_index_is_found(toys: Toys) -> None:
    sql = "select id, exists (select from toy where maker = owner.id and price > $1) from owner order by id limit 1000"

    assert "scan of toy: no index for (" in toys.check(sql, header(sql), "seqscan")


@pytest.mark.parametrize("join", ["full", "left"])
def test_kept_side_of_an_outer_join_has_no_condition(toys: Toys, join: str) -> None:
    sql = f"select toy.id, pair.note from toy {join} join pair on pair.right_id = toy.maker limit 10"

    assert "scan of toy: no condition limits its rows [seqscan]" in toys.check(sql, header(sql), "seqscan")


def test_plan_keeps_the_condition_of_an_index_that_does_not_serve(toys: Toys) -> None:
    """The book shows the plan."""
    sql = "select note from pair where right_id = $1"

    assert toys.describe(sql, header(sql)).plan["Recheck Cond"] == "(pair.right_id = $1)"  # type: ignore[index]  # a query has a plan


# PostgreSQL prefers an empty partial index to the primary key, and the whole index of a table of wide rows to a lookup
# for each row that it joins.
TENANTS = """
    create table saved (owner integer, id integer, name text, gone_at timestamptz, primary key (owner, id));
    create unique index on saved (name, id) where gone_at is null;
    create table outbox (id bigint primary key, topic text, key text, body jsonb, sent_at timestamptz);
    create index on outbox (id) where sent_at is null;
    create table wide (owner integer, id integer, name varchar(200), email varchar(200), primary key (owner, id))
"""
OWNER = "with caller as materialized (select maker from owner where id = $1)"


@pytest.fixture
def tenants(own_database_url: str, tmp_path: Path) -> Iterator[Toys]:
    """Return a helper that checks statements on tables whose keys begin with their owner."""
    with connect(own_database_url) as connection:
        connection.execute((FOLDER / "schema.sql").read_bytes() + TENANTS.encode())
        yield Toys(Describer(connection), tmp_path)


@pytest.mark.parametrize(
    ("sql", "scans"),
    [
        ("update saved set name = 'a' where owner = $1 and id = $1 and gone_at is null returning id", 0),
        ("update saved set name = 'a' where id = $1 and gone_at is null returning id", 1),
        (
            (
                "insert into saved values ($1, 1, 'a') on conflict (name, id) where gone_at is null "
                "do update set name = (select name from saved where id = $1) returning id"
            ),
            1,
        ),
        (
            (
                "update outbox set sent_at = now() where id in "
                "(select id from outbox where sent_at is null order by id limit $1 for update) returning topic"
            ),
            0,
        ),
    ],
    ids=["owner", "id", "upsert", "lock"],
)
def test_scan_of_a_partial_index_is_accepted_if_another_serves(tenants: Toys, sql: str, scans: int) -> None:
    assert tenants.check(sql, header(sql), "seqscan").count("[seqscan]") == scans


@pytest.mark.parametrize(
    ("sql", "scans"),
    [
        ("update wide set name = 'a' from caller where owner = maker and id = $1 returning id", 0),
        ("select wide.id from caller left join wide on owner = maker and wide.id = $1", 0),
        ("select wide.id from wide left join caller on owner = maker where wide.id = $1", 1),
        ("select wide.id from caller inner join wide on (owner = maker or name = 'a') and wide.id = $1", 1),
        ("select wide.id from caller inner join wide on length(name) = maker and wide.id = $1", 1),
    ],
    ids=["inner", "left", "outer side", "or", "other column"],
)
def test_scan_of_an_index_is_accepted_if_it_serves_the_join(tenants: Toys, sql: str, scans: int) -> None:
    assert tenants.check(f"{OWNER} {sql}", header("$1"), "seqscan").count("[seqscan]") == scans


def test_whole_index_of_few_counted_rows_is_accepted(own_database_url: str, tmp_path: Path) -> None:
    """Its plan does not show whether another index serves."""
    with connect(own_database_url) as connection:
        connection.execute(STAYS)
        stays = Toys(Describer(connection), tmp_path)

        found = stays.check("select id from stay where id = $1 and is_kept", header("$1"), "seqscan")

    assert found == ""


@pytest.mark.parametrize(
    "sql",
    [
        "select id from toy order by id limit 10",
        "select id from toy order by id, price limit 10",
        "select max(id) from toy",
        "select toy.id from toy inner join maker on maker.id = toy.id order by toy.id limit 10",
        "select id from toy where id > $1 order by id",
        "select note from pair where (left_id, right_id) > ($1, 2)",
        "select price from unnest($1::integer[], $1) with ordinality as u (id, n, place) inner join product using (id)",
    ],
)
def test_limited_index_scan_is_accepted(toys: Toys, sql: str) -> None:
    assert toys.check(sql, header(sql), "seqscan") == ""


@pytest.mark.parametrize(
    "sql",
    [
        "select id from toy",
        "select id from toy where maker = $1",
        "select id from toy union all select 1",
        "select 1 union all select id from toy",
        "select from toy",
        "select n from (select row_number() over (partition by -id) as n from maker group by id) as t where n = 1",
        "select id from toy where not (id = $1)",
        "select id from toy where id = all ('{}'::integer[])",
        "select toy.id from (select id from maker limit 3) as m inner join toy on toy.maker = m.id",
        "select maker from toy where price > $1 group by maker",
        "select mood, count(*) from felt where id > $1 group by mood, id",
        "select mood, unnest(array_agg(id)) from felt group by mood",
        "with recursive r (n) as (select 1 union all select n + 1 from r) select n from r",
        "select t.id from toys_of($1) as t",
        "select id from toy where id in (select maker from owner)",
        "select distinct row_number() over () as id from toy",
        "select id from toy where null::boolean",
        "select id from maker where id = any($1) or note = 'a'",
        "select note from pair where left_id = any($1) or right_id = 2",
        "select id from toy as t where id in (select m.id from maker as m where m.id = t.id limit 10)",
        "select note from pair where (left_id, 1) in (select id, maker from toy limit 10)",
        "select id from maker where case when note = 'a' then id = 1 else name > 'b' end",
        "select id from toy order by price fetch first 10 rows with ties",
    ],
)
def test_list_without_a_limit_is_found(toys: Toys, sql: str) -> None:
    assert toys.check(sql, header(sql), "unlimited").endswith(UNLIMITED)


@pytest.mark.parametrize(
    "sql",
    [
        "select id from toy order by id limit 10",
        "select id from toy order by id limit $1",
        "select id from toy where id = any($1)",
        "select id from toy where id in (select maker from owner limit 10)",
        "select t.id from unnest($1::integer[]) as t (id) left join toy on toy.id = t.id",
        "select id from (values (1), (2)) as v (id)",
        "select t.n from json_table('[1]', '$[*]' columns (n integer path '$')) as t",
        "select m.id from (select id from maker limit 3) as m inner join toy on toy.id = m.id",
        "select id from (select id from maker limit 3) as m full join (select id from toy limit 3) as t using (id)",
        "select id from toy where id = 1 union all select 2",
        "(select id from maker limit 3) except select id from toy",
        "with page as (select id from toy limit 5) select id from page order by id",
        "update toy set price = 1 where id = any($1) returning id",
        "merge into maker using (values (1), (2)) as v (n) on id = n when matched then delete returning id",
        "select id from maker where id = any($1) or name = 'a' and note = 'b'",
        "select t.id from maker inner join toy as t on t.id = maker.id where maker.id = 1 or maker.name = 'a'",
        "select note from pair where (left_id, right_id) in (select a, b from unnest($1::integer[], $1) as u (a, b))",
        "select price > 1 as is_dear, count(*) from toy where id > $1 group by is_dear",
        "select distinct mood from felt where id > $1",
        "select generate_series(1, count(*)) from toy where id = any($1)",
        (
            "with day as (select generate_series(1, 30) as n) select day.n, t.price from day"
            " left join (select price::integer, count(*) from toy group by price::integer) as t on t.price = day.n"
        ),
    ],
)
def test_bounded_list_has_no_finding(toys: Toys, sql: str) -> None:
    assert toys.check(sql, header(sql), "unlimited") == ""


@pytest.mark.parametrize("limit", ["$1", "all", "(select max(id) from maker)"])
def test_limit_that_can_be_null_is_no_limit(toys: Toys, limit: str) -> None:
    said = toys.check(
        f"select id from toy limit {limit}", "-- $1 n bigint?\n" * ("$1" in limit) + header(""), "unlimited"
    )

    assert "its limit can be null" in said


@pytest.mark.parametrize(
    "sql",
    [
        "select toy.id from toy, maker",
        "select toy.id from toy cross join maker",
        "select toy.id from toy inner join maker on maker.name = 'a' or toy.price > 1",
        "select toy.id from toy inner join maker on toy.price > 1 where maker.made is null",
        "select id from toy where id in (select owner.id from owner, maker)",
    ],
)
def test_cross_join_is_found(toys: Toys, sql: str) -> None:
    assert "each row of one is joined to each row of the other [cross-join]" in toys.check(
        sql, header(sql), "cross-join"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "select toy.id from toy natural join maker",
        "select toy.id from toy, maker where toy.maker = maker.id",
        "select toy.id from toy, maker where maker.id = $1",
        "select t.id from maker cross join lateral toys_of(maker.id) as t",
        "select t.id from maker left join lateral (select id from toy where toy.maker = maker.id) as t on true",
        "select toy.id from toy cross join (values (1), (2)) as v (n)",
        "select toy.id from toy, json_table(toy.data, '$[*]' columns (n integer path '$')) as t",
        "select toy.id from toy, maker where exists (select from owner where id = toy.id and maker = maker.id)",
        "select a.id from (toy full join maker using (id)) as a inner join owner on owner.id = a.id",
    ],
)
def test_connected_relations_are_no_cross_join(toys: Toys, sql: str) -> None:
    assert toys.check(sql, header(sql), "cross-join") == ""


def test_cross_join_has_the_line_of_its_second_relation(toys: Toys) -> None:
    found = toys.check("select toy.id\nfrom toy\ncross join maker", header(""), "cross-join")

    assert found.startswith("5: no condition connects maker with toy:")


@pytest.mark.parametrize("check", ["unlimited", "cross-join", "seqscan"])
def test_reason_in_the_header_accepts(toys: Toys, check: str) -> None:
    accepted = f"-- {check}: ok there are few\n"

    assert (
        toys.check("select toy.id from toy cross join maker order by toy.price", header("", accepted), check, "marker")
        == ""
    )
    assert "accepts no finding" in toys.check("select 1", header("", accepted), check, "marker")
