"""What a query returns or writes although the caller's session has ended."""

import pytest

from tests.sqlcheck.conftest import Toys

CALLER = "with caller as (select maker from live where id = $1) "
LIVE = "from live as caller where caller.id = $1"
WRITE = "update toy set price = 1 where toy.id = 2"


def said(toys: Toys, sql: str, cardinality: str) -> str:
    """Return the findings about a query of a session."""
    return toys.check(sql, f"-- $1 session integer\n-- returns: {cardinality} Toy\n", "cardinality")


@pytest.mark.parametrize(
    "sql",
    [
        f"select count(*) {LIVE}",
        f"select exists(select {LIVE})",
        f"select coalesce((select caller.maker {LIVE}), 1)",
        f"select count(*) {LIVE} group by rollup (caller.id) limit 1",
        f"select caller.maker {LIVE} union all select 1 limit 1",
        f"select 1 except select caller.maker {LIVE}",
        "select 1 from (values (1)) as v left join live as caller on caller.id = $1",
        "select 1 from live as caller right join (values (1)) as v on caller.id = $1",
        CALLER + "select 1 from caller full join (values (2)) as w (n) on caller.maker = w.n",
        f"select 1 from (values (1)) as v (n) where exists(select {LIVE}) or n = 1",
        f"select 1 where not exists(select {LIVE})",
        "insert into owner (maker, id) values ($1, 2) returning id",
        CALLER + "select max(maker) from caller",
    ],
)
def test_row_without_the_session_is_found(toys: Toys, sql: str) -> None:
    assert "a row is possible after the session has ended" in said(toys, sql, "many")


@pytest.mark.parametrize(
    ("grouping", "found"),
    [
        ("rollup (maker)", False),
        ("cube (maker, id)", False),
        ("grouping sets ((maker), rollup (id))", False),
        ("maker, rollup (id)", True),
        ("grouping sets ((maker), (id))", True),
        ("maker", True),
    ],
)
def test_empty_grouping_set_always_has_a_row(toys: Toys, grouping: str, *, found: bool) -> None:
    sql = f"select count(*) as id from live as caller where caller.id = $1 group by {grouping}"

    assert ("a row is possible after the session has ended" in said(toys, sql, "many")) != found


@pytest.mark.parametrize(
    "sql",
    [
        CALLER + WRITE,
        CALLER + f", written as ({WRITE} returning id) select written.id from caller left join written on true",
        CALLER + "delete from toy where toy.id = 2",
        CALLER + "insert into owner (maker, id) values (1, 2)",
        CALLER + "insert into owner (maker, id) select 1, count(*) from caller",
        f"{CALLER}{WRITE} and not exists(select from caller)",
        (
            "merge into toy using live as caller on caller.id = $1"
            " when not matched then insert (id, price) values (1, 2)"
        ),
        CALLER + "merge into toy using caller on toy.maker = caller.maker when not matched by source then delete",
    ],
)
def test_write_without_the_session_is_found(toys: Toys, sql: str) -> None:
    cardinality = "many" if "written" in sql else "count"

    assert "writes after the session has ended" in said(toys, sql, cardinality)


@pytest.mark.parametrize(
    "sql",
    [
        CALLER + "update toy set price = 1 from caller where toy.maker = caller.maker",
        f"{CALLER}{WRITE} and exists(select from caller)",
        f"{CALLER}{WRITE} and toy.maker = (select maker from caller)",
        CALLER + "insert into owner (maker, id) select maker, 2 from caller",
        CALLER + "insert into owner (maker, id) select maker, 2 from caller intersect select maker, id from owner",
        f"{WRITE} and lives($1)",
        "delete from toy using maker_of($1) as caller where toy.maker = caller.id",
        "merge into toy using live as caller on caller.id = $1 and toy.maker = caller.maker when matched then delete",
        CALLER
        + "merge into toy using caller on toy.maker = caller.maker when not matched then insert values (1, 2, 3)",
        (
            "with recursive up as (select maker from live where id = $1 union select maker + 1 from up where maker < 3)"
            " update toy set price = 1 from up where toy.maker = up.maker"
        ),
        f"{CALLER}, written as ({WRITE} and exists(select from caller) returning id) delete from owner using written",
    ],
)
def test_write_that_needs_the_session_is_accepted(toys: Toys, sql: str) -> None:
    assert said(toys, sql, "count") == ""


def test_row_without_the_session_is_accepted_with_a_reason(toys: Toys) -> None:
    header = "-- $1 session integer\n-- returns: one Toy\n-- cardinality: ok it says whether the session is valid\n"

    assert toys.check(f"select count(*) {LIVE}", header, "cardinality", "marker") == ""
