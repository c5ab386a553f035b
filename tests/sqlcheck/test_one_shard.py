"""A query on distributed tables must bind the user to a parameter in each of its parts."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import psycopg
import pytest
from pglast import parse_sql

from service.postgres import read_query
from service.sqlcheck.analysis.parse_tree import ParsedQuery
from service.sqlcheck.rules.one_shard import check_one_shard, distributed_tables, distribution_column
from tests.support.processes import ROOT

TABLES = {"login_session", "live_session", "idempotency_key"}
CALLER = "live_session as caller where caller.session_id = $1 and caller.user_id = $2"
KEYS = "idempotency_key as k"
BOUND = [
    f"select caller.user_id from {CALLER}",
    f"select k.key from live_session as s inner join {KEYS} on k.user_id = s.user_id where s.user_id = $1",
    f"select k.key from live_session as s left join {KEYS} on k.user_id = s.user_id where s.user_id = $1",
    f"select email from user_model left join {KEYS} on k.user_id = $1",
    f"select k.key from {KEYS} where $1 = k.user_id",
    f"select page.key from (select key from {KEYS} where k.user_id = $1 limit 1) as page",
    f"select user_id from {CALLER} and exists (select from idempotency_key where user_id = $2 and key = $3)",
    f"with caller as (select user_id from {CALLER}) update {KEYS} set key = $3 from caller where k.user_id = $2",
    f"with caller as (select user_id from {CALLER}) delete from {KEYS} using caller where k.user_id = $2",
    "insert into idempotency_key (key, user_id) values ($1, $2)",
    f"with c as (select user_id from {CALLER}) insert into idempotency_key (user_id, key) select c.user_id, $3 from c",
    "select id from user_model",
    f"with c as (select * from {CALLER}) select c.user_id from c",
    f"select k.key from {KEYS} tablesample system (1) where k.user_id = $1",
    f"select 1 union all select 2 from {KEYS} where user_id = $1",
    f"merge into {KEYS} using user_model as u on k.user_id = $1 and u.id = $1 when matched then delete",
]
UNBOUND = [
    f"select k.key from {KEYS} inner join user_model on user_model.id = k.user_id",
    f"select k.key from {KEYS} where k.user_id = $1 or k.key = $2",
    f"select k.key from {KEYS} where k.user_id > $1",
    f"select k.key from {KEYS} left join live_session as s on k.user_id = s.user_id where s.user_id = $1",
    f"select k.key from {KEYS} full join user_model on k.user_id = $1",
    f"select p.key from (select $1 as id) as s, lateral (select key from {KEYS} where k.user_id = s.id) as p",
    f"select user_id from {CALLER} and exists (select from idempotency_key where key = $3)",
    f"with c as (select user_id from {CALLER}) update {KEYS} set key = $3 from c where k.user_id = c.user_id",
    f"with gone as (delete from {KEYS} where key = $1 returning key) select gone.key from gone",
    "insert into idempotency_key (user_id, key) select user_model.id, $1 from user_model",
    "insert into idempotency_key (user_id, key) values (gen_random_uuid(), $1)",
    f"insert into idempotency_key (user_id, key) select caller.user_id, $3 from {CALLER}",
    f"insert into idempotency_key (user_id, key) select c.user_id, $3 from (select user_id from {CALLER}) as c",
    "insert into idempotency_key values ($1, $2)",
    "insert into idempotency_key default values",
    f"select k.key from {KEYS} tablesample system (1)",
    f"select 1 union all select 2 from {KEYS}",
    f"merge into {KEYS} using user_model as u on k.user_id = u.id when matched then delete",
]


def parsed(sql: str, header: str = "users.show_me") -> ParsedQuery:
    """Parse `sql` with the header of another query."""
    return ParsedQuery(attrs.evolve(read_query(header), sql=sql), parse_sql(sql)[0].stmt)


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[object]]:
    with psycopg.connect(database_url) as connection:
        yield connection


@pytest.mark.parametrize("sql", BOUND)
def test_query_bound_to_one_user_is_no_finding(sql: str) -> None:
    assert list(check_one_shard(parsed(sql), "user_id", TABLES)) == []


@pytest.mark.parametrize("sql", UNBOUND)
def test_query_on_every_shard_is_a_finding(sql: str) -> None:
    found = list(check_one_shard(parsed(sql), "user_id", TABLES))

    assert {finding.check for finding in found} == {"one-shard"}


def test_finding_names_table_and_line() -> None:
    [found] = check_one_shard(parsed("select key\nfrom idempotency_key;"), "user_id", TABLES)

    assert str(found) == (
        "sql/users/show_me.sql:2: idempotency_key.user_id equals no parameter in this part of the query,"
        " so it runs on every shard [one-shard]"
    )


def test_reason_in_the_header_accepts_every_shard() -> None:
    sql = "select key from idempotency_key"

    assert list(check_one_shard(parsed(sql, "system.clean_idempotency_keys"), "user_id", TABLES)) == []


def test_unneeded_reason_is_a_finding() -> None:
    [found] = check_one_shard(parsed(BOUND[0], "system.clean_idempotency_keys"), "user_id", TABLES)

    assert (found.check, found.sentence) == ("marker", "'one-shard: ok' accepts no finding: remove it")


def test_tables_are_those_of_the_citus_file(connection: psycopg.Connection[object]) -> None:
    column = distribution_column(ROOT / "sql")

    assert column == "user_id"
    tables = set(distributed_tables(connection, column))
    assert tables >= TABLES
    assert not tables & {"user_model", "login_throttle", "migration_checksum"}


def test_tree_without_citus_file_is_not_distributed(tmp_path: Path) -> None:
    assert distribution_column(tmp_path) is None
