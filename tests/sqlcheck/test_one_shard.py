"""A query on distributed tables must bind the user to a parameter in each of its parts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from service.postgres import read_query
from service.sqlcheck.analysis.description import Describer
from service.sqlcheck.findings import Finding, findings_of
from service.sqlcheck.rules.one_shard import check_one_shard, distributed_tables, distribution_column
from service.sqlcheck.scratch import connect
from service.sqlcheck.tree import Tree, apply_migrations
from tests.support.processes import ROOT

Check = Callable[..., list[Finding]]

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
    "insert into idempotency_key values ($1, $2)",
    f"select k.key from {KEYS} inner join live_session as s using (user_id) where user_id = $1",
    f"with c as (select user_id from {CALLER}) insert into idempotency_key (user_id, key) select c.user_id, $3 from c",
    "select id from user_model",
    f"with c as (select * from {CALLER}) select c.user_id from c",
    f"select k.key from {KEYS} tablesample system (1) where k.user_id = $1",
    f"select 1 union all select 2 from {KEYS} where user_id = $1",
    f"merge into {KEYS} using user_model as u on k.user_id = $1 and u.id = $1 when matched then delete",
    f"select k.key from {KEYS} left join live_session as s on k.user_id = s.user_id where s.user_id = $1",
]
UNBOUND = [
    f"select k.key from {KEYS} inner join user_model on user_model.id = k.user_id",
    f"select k.key from {KEYS} where k.user_id = $1 or k.key = $2",
    f"select k.key from {KEYS} where k.user_id > $1",
    f"select k.key from {KEYS} left join live_session as s on k.user_id = s.user_id and s.user_id = $1",
    f"select k.key from {KEYS} full join user_model as u on u.id = k.user_id and k.user_id = $1",
    f"select p.key from (select $1::uuid as id) as s, lateral (select key from {KEYS} where k.user_id = s.id) as p",
    f"select user_id from {CALLER} and exists (select from idempotency_key where key = $3)",
    f"with c as (select user_id from {CALLER}) update {KEYS} set key = $3 from c where k.user_id = c.user_id",
    f"with gone as (delete from {KEYS} where key = $1 returning key) select gone.key from gone",
    "insert into idempotency_key (user_id, key) select user_model.id, $1 from user_model",
    "insert into idempotency_key (user_id, key) values (gen_random_uuid(), $1)",
    f"insert into idempotency_key (user_id, key) select caller.user_id, $3 from {CALLER}",
    f"insert into idempotency_key (user_id, key) select c.user_id, $3 from (select user_id from {CALLER}) as c",
    "insert into idempotency_key default values",
    f"select k.key from {KEYS} tablesample system (1)",
    f"select 1 union all select 2 from {KEYS}",
    f"merge into {KEYS} using user_model as u on k.user_id = u.id when matched then delete",
]


@pytest.fixture(scope="module")
def describer(module_database_url: str) -> Iterator[Describer]:
    """Return a describer on a migrated database."""
    apply_migrations(Tree.read(ROOT), module_database_url)
    with connect(module_database_url) as connection:
        yield Describer(connection)


@pytest.fixture
def check(describer: Describer) -> Check:
    """Return a function that checks `sql` with the header of another query."""

    def check(sql: str, header: str = "users.show_me") -> list[Finding]:
        description = describer.describe(attrs.evolve(read_query(header), sql=sql))
        tables = distributed_tables(describer._connection, "user_id")  # noqa: SLF001 - the one that has the tables
        problems = check_one_shard(description, "user_id", tables)
        return list(findings_of(description.statement, problems, {"one-shard"}))

    return check


@pytest.mark.parametrize("sql", BOUND)
def test_query_bound_to_one_user_is_no_finding(check: Check, sql: str) -> None:
    assert check(sql) == []


@pytest.mark.parametrize("sql", UNBOUND)
def test_query_on_every_shard_is_a_finding(check: Check, sql: str) -> None:
    found = check(sql)

    assert {finding.check for finding in found} == {"one-shard"}


def test_finding_names_table_and_line(check: Check) -> None:
    [found] = check("select key\nfrom idempotency_key;")

    assert str(found) == (
        "sql/users/show_me.sql:2: idempotency_key.user_id equals no parameter in this part of the query,"
        " which therefore runs on every shard [one-shard]"
    )


def test_reason_in_the_header_accepts_every_shard(check: Check) -> None:
    assert check("select key from idempotency_key", "system.clean_idempotency_keys") == []


def test_unneeded_reason_is_a_finding(check: Check) -> None:
    [found] = check(BOUND[0], "system.clean_idempotency_keys")

    assert (found.check, found.sentence) == ("marker", "'one-shard: ok' accepts no finding: remove it")


def test_tables_are_those_of_the_citus_file(describer: Describer) -> None:
    column = distribution_column(ROOT / "sql")

    assert column == "user_id"
    found = distributed_tables(describer._connection, column)  # noqa: SLF001 - the one that has the tables
    tables = {name for name, _ in found.values()}
    assert tables >= TABLES
    assert not tables & {"user_model", "login_throttle", "migration_checksum"}


def test_tree_without_citus_file_is_not_distributed(tmp_path: Path) -> None:
    assert distribution_column(tmp_path) is None
