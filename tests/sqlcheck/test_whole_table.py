"""Findings about statements of migrations that change all rows of a table."""

import pytest

from service.sqlcheck.findings import as_text
from tests.sqlcheck.test_lock_findings import PLACE, findings
from tests.support.checkouts import Copy

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        (
            "update kites set version = 1 where user_id in (select id from user_model);",
            ":3: update of all rows of kites, which stay locked: do it in batches [whole-table]",
        ),
        (
            "delete from kites where exists (select from user_model as u where u.id = kites.user_id);",
            ":3: delete of all rows of kites, which stay locked: do it in batches [whole-table]",
        ),
        (
            "merge into kites using user_model as u on u.id = kites.user_id when matched then update set version = 1;",
            ":3: merge of all rows of kites, which stay locked: do it in batches [whole-table]",
        ),
        (
            "merge into kites using (values (1)) as v (n) on version = v.n when not matched by source then delete;",
            ":3: merge of all rows of kites, which stay locked: do it in batches [whole-table]",
        ),
        (
            (
                "create function fill() returns void language sql begin atomic update kites set version = 1; end;\n"
                "create function fill_all() returns void language plpgsql as $$ begin perform fill(); end $$;\n"
                "select fill_all();"
            ),
            ":5: update of all rows of kites, which stay locked: do it in batches [whole-table]",
        ),
        (
            "do $$ begin execute 'update kites set version = 1'; end $$;",
            ":3: update of all rows of kites, which stay locked: do it in batches [whole-table]",
        ),
        (
            "update kites set version = 1;",
            ":3: update of all rows of kites, which stay locked: do it in batches [whole-table]",
        ),
        (
            "delete from kites where true or 1 = 2;",
            ":3: delete of all rows of kites, which stay locked: do it in batches [whole-table]",
        ),
        (
            "do $$ declare kite kites%rowtype; begin kite.version := 1; delete from kites; end $$;",
            ":3: delete of all rows of kites, which stay locked: do it in batches [whole-table]",
        ),
        (
            "update kites set version = 1 from user_model where user_model.id = kites.user_id and true;",
            ":3: update of all rows of kites, which stay locked: do it in batches [whole-table]",
        ),
        (
            (
                "update kites set version = 1 from user_model as u where u.id = user_id;\n"
                "update kites set version = 1 from user_model as u where u.id = kites.user_id or u.email = 'a';\n"
                "delete from kites using user_model where user_model.id = kites.user_id;"
            ),
            f"\n{PLACE}".join(
                f":{line}: {verb} of all rows of kites, which stay locked: do it in batches [whole-table]"
                for line, verb in [(3, "update"), (4, "update"), (5, "delete")]
            ),
        ),
        (
            "alter table kites add column colour text;\nupdate user_model set email = email where email = '';",
            (":4: update of user_model while kites is locked, for readers too: use another migration [whole-table]"),
        ),
        (
            "alter table kites add column colour text;\ncreate table old as select email from user_model;",
            ":4: user_model is read while kites is locked, for readers too: use another migration [whole-table]",
        ),
        (
            (
                "create table old (email text primary key);\nalter table kites add column colour text;\n"
                "insert into old select email from user_model;"
            ),
            ":5: user_model is read while kites is locked, for readers too: use another migration [whole-table]",
        ),
    ],
)
def test_change_of_all_rows_is_found(tree: Copy, empty_database_url: str, sql: str, finding: str) -> None:
    assert as_text(findings(tree, empty_database_url, sql)) == PLACE + finding


@pytest.mark.parametrize(
    "sql",
    [
        "update kites set version = 1 where version is null;",
        "update kites set kite_name = trim(kite_name) where kite_name is distinct from trim(kite_name);",
        "update kites set kite_name = email from user_model as u where user_id = u.id;",
        "update kites set kite_name = email from user_model as u where user_id = u.id and kite_name is null;",
        "update kites set version = 2 from (select id, max(email) from user_model group by 1) u where user_id = u.id;",
        "with old as (select * from user_model) update kites set version = 2 from old where user_id = old.id;",
        "delete from kites as k using user_model as u natural join login_session where k.user_id = u.id;",
    ],
)
def test_condition_that_holds_for_all_rows_is_found(tree: Copy, empty_database_url: str, sql: str) -> None:
    [finding] = findings(tree, empty_database_url, sql)

    assert finding.check == "whole-table"


@pytest.mark.parametrize(
    "sql",
    [
        "update kites set version = 1 where version = 2;",
        "update kites set version = 1 where user_id in (select id from user_model where email = 'a');",
        "delete from kites where user_id in (select id from user_model order by id limit 1000);",
        "update kites set version = 1 from user_model where user_model.id = kites.user_id and user_model.email = 'a';",
        "update kites set version = 2 from (values ('a')) as new (name) where kites.kite_name = new.name;",
        "merge into kites using user_model as u on u.id = user_id and u.email = 'a' when matched then delete;",
        "merge into kites using user_model on kites.version = 1 when not matched then do nothing;",
        "create function one() returns void language sql as 'delete from kites where version = 1';\nselect one();",
        (
            "create table toys (id bigint primary key);\ndelete from kites using toys where toys.id = kites.id;\n"
            "delete from kites where id in (select id from toys);\n"
            "delete from kites where version in (select unnest(array[1, 2]));\n"
            "delete from kites where user_id in (select user_id from kites group by 1 having count(*) > 9);"
        ),
        "update kites set version = 1 where kite_name is null;",
        "update kites set version = 1 where version is null and user_id in (select id from user_model limit 9);",
        "with old as (select id from user_model limit 9) delete from kites using old where user_id = old.id;",
        "delete from kites using (select min(id) from kites having count(*) > 1) as k (id) where kites.id > k.id;",
        "delete from kites using user_model as u join login_session as s on u.email = 'a' where kites.user_id = u.id;",
        "update kites as k set version = 1 where k.* is null;",
        "update kites set version = n from user_model as u, (values (1)) as v (n) where user_id = u.id;",
    ],
)
def test_change_of_some_rows_has_no_finding(tree: Copy, empty_database_url: str, sql: str) -> None:
    assert findings(tree, empty_database_url, sql) == []
