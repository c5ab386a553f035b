"""Findings about the locks of migrations."""

import pytest

from service.sqlcheck.findings import Finding, as_text
from tests.support.checkouts import CREATE_KITES, Copy

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

NAME = "9999_change_kites"
PLACE = f"migrations/{NAME}.sql"
SCAN = "all rows of kites are read while it is locked: NOT VALID first, VALIDATE in another migration"
FUNCTION = "create function t() returns trigger language plpgsql as $$ begin return new; end $$;\n"


def findings(tree: Copy, url: str, sql: str) -> list[Finding]:
    """Add a migration to the tree, and return the findings about it."""
    tree.write_migration(NAME, f"-- Changes kites.\n-- depends: {CREATE_KITES}\n{sql}")
    return tree.review_newest_migration(url).findings


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        (
            "alter table kites alter column version type bigint;",
            ":3: kites is rewritten, which blocks readers: expand, fill, contract instead [rewrite]",
        ),
        (
            "truncate kites;",
            ":3: kites is emptied, which blocks readers: delete its rows in batches instead [rewrite]",
        ),
        (
            "cluster kites using kites_pkey;",
            ":3: kites is rewritten, which blocks readers: rewrite it online instead, as pg_repack does [rewrite]",
        ),
        (
            "select 1;\n-- Why.\ncreate index kites_version_idx on kites (version);",
            ":5: an index of kites is created without CONCURRENTLY: writers wait [index-not-concurrent]",
        ),
        (
            "-- squawk-ignore prefer-timestamp-tz\nalter table user_model alter column created_at type timestamp;",
            ":4: user_model is rewritten, which blocks readers: expand, fill, contract instead [rewrite]",
        ),
        (
            "select 1;\n-- Not concurrently.\ncreate index on kites (version);",
            ":5: an index of kites is created without CONCURRENTLY: writers wait [index-not-concurrent]",
        ),
        (
            "set client_min_messages = error;\nalter table kites add constraint kites_there check (kite_name <> '');",
            f":4: {SCAN} [scan]",
        ),
        (
            "alter table kites add column size integer not null default 1 check (size > 0);",
            f":3: {SCAN} [scan]",
        ),
        (
            "alter table kites add column size integer, add constraint kites_there check (kite_name <> '');",
            f":3: {SCAN} [scan]",
        ),
        (
            "alter table user_model alter column created_at type pg_catalog.timestamp;",
            ":3: user_model is rewritten, which blocks readers: expand, fill, contract instead [rewrite]",
        ),
        (
            "create rule gone as on delete to kites do instead nothing;",
            ":3: rule gone of kites is created: writers wait, and the previous release is affected [trigger]",
        ),
        (
            "alter table kites enable row level security;",
            (
                ":3: row level security of kites is enabled: rows vanish for the previous release, unless a policy "
                "shows them or the service owns the table [row-security]"
            ),
        ),
        (
            "alter table login_session alter column user_agent set not null;",
            ":3: login_session.user_agent becomes NOT NULL without a validated check: all rows are read [not-null]",
        ),
        (
            (
                "alter table kites add column session_id uuid default '00000000-0000-0000-0000-000000000000'\n"
                "    references user_model (id);\n"
                "create index on kites (session_id);"
            ),
            (
                ":3: a foreign key of kites is created without NOT VALID: writers of both tables wait "
                f"[foreign-key]\n{PLACE}:5: an index of kites is created without CONCURRENTLY: writers "
                "wait [index-not-concurrent]"
            ),
        ),
        (
            "alter table kites add constraint kites_again_fkey foreign key (user_id) references user_model (id);",
            (":3: a foreign key of kites is created without NOT VALID: writers of both tables wait [foreign-key]"),
        ),
        (
            (
                "do $$ begin set local client_min_messages = warning;\n"
                "alter table kites add constraint kites_again_fkey foreign key (user_id) references user_model; end $$;"
            ),
            ":3: a foreign key of kites is created without NOT VALID: writers of both tables wait [foreign-key]",
        ),
        (
            "alter table kites add constraint kites_name_key unique (user_id, kite_name);",
            ":3: an index of kites is created without CONCURRENTLY: writers wait [index-not-concurrent]",
        ),
        (
            'alter table user_model alter column email type varchar collate "C";',
            (":3: an index of user_model is created without CONCURRENTLY: writers wait [index-not-concurrent]"),
        ),
        (
            "do $$ begin execute 'create index on kites (version)'; end $$;",
            ":3: an index of kites is created without CONCURRENTLY: writers wait [index-not-concurrent]",
        ),
        (
            "do $$ begin alter table login_session alter user_agent set not null; end $$;",
            ":3: login_session.user_agent becomes NOT NULL without a validated check: all rows are read [not-null]",
        ),
        (
            "alter table login_session add constraint there not null user_agent;",
            ":3: login_session.user_agent becomes NOT NULL without a validated check: all rows are read [not-null]",
        ),
        (
            "alter table kites add column token uuid not null default gen_random_uuid();",
            ":3: kites is rewritten, which blocks readers: expand, fill, contract instead [rewrite]",
        ),
        (
            "alter table kites add column twice integer generated always as (version * 2) stored;",
            ":3: kites is rewritten, which blocks readers: expand, fill, contract instead [rewrite]",
        ),
        (
            "alter table kites alter column kite_name type varchar(20);",
            ":3: kites is rewritten, which blocks readers: expand, fill, contract instead [rewrite]",
        ),
        (
            "alter table kites add constraint kites_short check (length(kite_name) < 40);",
            f":3: {SCAN} [scan]",
        ),
        (
            (
                "alter table kites add constraint kites_short check (length(kite_name) < 40) not valid;\n"
                "alter table kites validate constraint kites_short;"
            ),
            f":4: {SCAN} [scan]",
        ),
        (  # its CHECK is created again
            "alter table kites alter column kite_name type varchar(300);",
            f":3: {SCAN} [scan]",
        ),
        (
            (
                "alter table kites add constraint kites_again_fkey\n"
                "    foreign key (user_id) references user_model (id) not valid;\n"
                "alter table kites validate constraint kites_again_fkey;"
            ),
            (":5: a foreign key of kites is created without NOT VALID: writers of both tables wait [foreign-key]"),
        ),
        (
            (
                "create table every_throttle (like login_throttle) partition by list (failures);\n"
                "alter table every_throttle attach partition login_throttle for values in (1);"
            ),
            f":4: {SCAN.replace('kites', 'login_throttle')} [scan]",
        ),
        (
            "-- squawk-ignore renaming-table\nalter table kites rename to dragons;\ncreate index on dragons (version);",
            (":5: an index of dragons is created without CONCURRENTLY: writers wait [index-not-concurrent]"),
        ),
        (
            "lock table login_session, kites;",
            (
                f":3: kites is locked until the migration ends [lock-table]\n"
                f"{PLACE}:3: login_session is locked until the migration ends [lock-table]"
            ),
        ),
        (
            (
                "do $$ begin execute 'drop table kites'; alter table user_model rename email to mail; end $$;\n"
                "do $$ begin drop view live_session; end $$;"
            ),
            (
                ":3: kites is dropped or renamed, and the previous release may read it [drop]\n"
                f"{PLACE}:3: user_model.email is dropped or renamed, and the previous release may read it [drop]\n"
                f"{PLACE}:4: live_session is dropped or renamed, and the previous release may read it [drop]"
            ),
        ),
        (
            f"{FUNCTION}create trigger t before insert on kites for each row execute function t();",
            ":4: trigger t of kites is created: writers wait, and the previous release is affected [trigger]",
        ),
        (
            "set lock_timeout = 0;",
            ":3: without a lock_timeout, all later statements on a table wait behind this migration [lock-timeout]",
        ),
        (
            "select set_config('search_path', '', false);\nalter table public.kites alter column version type bigint;",
            ":4: kites is rewritten, which blocks readers: expand, fill, contract instead [rewrite]",
        ),
        (
            "-- Why.\n\nalter table kites\n    add column colour text not null;",
            (
                ":6: Adding a new column that is NOT NULL and has no default value to an existing table effectively "
                "makes it required (adding-required-field) [squawk]"
            ),
        ),
        (
            "drop index login_session_expires_at_idx;",
            (
                ":3: A normal DROP INDEX acquires an ACCESS EXCLUSIVE lock on the table, blocking other accesses until "
                "the index drop can complete (require-concurrent-index-deletion) [squawk]"
            ),
        ),
        (
            "alter table kites rename column kite_name to name;",
            ":3: Renaming a column may break existing clients (renaming-column) [squawk]",
        ),
        (
            "alter table kites drop column version;",
            ":3: Dropping a column may break existing clients (ban-drop-column) [squawk]",
        ),
    ],
)
def test_blocking_migration_is_found(tree: Copy, empty_database_url: str, sql: str, finding: str) -> None:
    assert as_text(sorted(findings(tree, empty_database_url, sql))) == PLACE + finding


@pytest.mark.parametrize(
    "sql",
    [
        "-- locks: ok the table has a dozen rows\nalter table kites alter column version type bigint;",
        "alter table kites add column colour text;",
        (
            "alter table kites add constraint kites_again_fkey\n"
            "    foreign key (user_id) references user_model (id) not valid;"
        ),
        (
            "create table toys (id bigint primary key);\ncreate index toys_idx on toys (id);\n"
            "alter table toys alter column id type integer;"
        ),
        "alter table kites add column session_id uuid references user_model (id);",
        "lock table kites in row exclusive mode;",
        "create temporary table kites (version integer);\nupdate kites set version = 1;",
        "create view names as select kite_name from kites;",
        "alter table login_session alter column user_agent type varchar(300);",
        "alter table kites add column colour text not null default 'red';",
        (
            "alter table kites add column colour text;\ncreate view emails as select email from user_model;\n"
            "create table old as select email from user_model with no data;"
        ),
        (
            "-- squawk-ignore renaming-table\nalter table kites rename to old;\n"
            "-- squawk-ignore renaming-table\nalter table old rename to kites;"
        ),
        "create type mood as enum ('good');\nalter table kites add column mood mood;",
        "create table toys as select kite_name from kites;\nalter table toys add primary key (kite_name);",
        "-- squawk-ignore ban-drop-column\nalter table kites drop column version;",
        "create table toys (id bigint primary key);\ndo $$ begin drop table toys; end $$;",
        (
            f"create table toys (id bigint primary key);\nalter table toys enable row level security;\n{FUNCTION}"
            "create trigger t before insert on toys for each row execute function t();"
        ),
        "create domain shade as text;\nalter domain shade set not null;",
        (
            "create table days (day date) partition by list (day);\n"
            "create table other_days partition of days default;\n"
            "create table first_days partition of days for values in ('2020-01-01');"
        ),
        "do $$ declare many kites[]; begin many[1].version := 1; delete from kites; end $$;",  # pglast cannot parse it
        f"create table toys (id bigint primary key);\nupdate toys set id = 1;\nlock table toys;\n{FUNCTION}",
    ],
)
def test_harmless_migration_has_no_finding(tree: Copy, empty_database_url: str, sql: str) -> None:
    assert findings(tree, empty_database_url, sql) == []
