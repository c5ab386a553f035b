"""`sql check --live`: differences between a database and the migrations."""

import psycopg
import pytest
from click.testing import Result

from service.migrate import apply
from service.sqlcheck.drift import check_drift
from service.sqlcheck.scratch import connect
from service.sqlcheck.tree import Tree
from tests.support.checkouts import CREATE_KITES, Connection, Copy
from tests.support.sqlcheck import invoke

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

KITES = f"migrations/{CREATE_KITES}.sql"


def drift(tree: Copy, url: str, *statements: str) -> list[str]:
    """Change a database by hand, and return the findings."""
    with connect(url) as connection:
        for statement in statements:
            connection.execute(statement)
    return check(tree, url).stdout.splitlines()[:-1]


def check(tree: Copy, url: str) -> Result:
    """Run the check, with the same server for its scratch databases."""
    return invoke("check", "--directory", str(tree.root), "--database-url", url, "--live", url)


@pytest.fixture
def live(tree: Copy, own_database_url: str) -> str:
    """Return the URL of a database with the migrations of the tree."""
    apply(own_database_url, tree.root / "migrations", report=lambda _: None)
    return own_database_url


def migrate(tree: Copy, url: str, create: str, drop: str) -> str:
    """Add a migration of which line 3 is `create`, apply all, and return its path."""
    tree.write_migration("9999_create_more", f"-- depends: {CREATE_KITES}\n\n{create}", drop)
    apply(url, tree.root / "migrations", report=lambda _: None)
    return "migrations/9999_create_more.sql"


def test_same_schema_has_no_drift(tree: Copy, live: str) -> None:
    assert check(tree, live).stdout.endswith("migrations: no findings\n")


def test_changed_table_is_one_finding(tree: Copy, live: str) -> None:
    before, _, _ = (tree.root / KITES).read_text().partition("create table kites")

    [found] = drift(
        tree,
        live,
        "alter table kites alter version type bigint, add extra text, drop constraint kites_kite_name_check",
        "comment on table kites is 'x'",
    )

    assert found == (
        f"{KITES}:{before.count(chr(10)) + 1}: in the database, kites is different: the table has a different comment; "
        "column version is 'bigint not null default 1', not 'integer not null default 1'; "
        "column extra, which no migration creates; no constraint kites_kite_name_check [drift]"
    )


def test_restored_list_of_values_is_no_drift(tree: Copy, live: str) -> None:
    check = "alter table kites add constraint kind_key check "
    migrate(tree, live, f"alter table kites add kind varchar(9);\n{check}(kind in ('o''r', 'box'));", "")
    restored = "((kind)::text = any (array[('o''r'::varchar)::text, ('box'::varchar)::text]))"

    found = drift(tree, live, f"alter table kites drop constraint kind_key; {check}{restored}")

    assert [line for line in found if "[drift]" in line] == []


@pytest.mark.parametrize(
    "setting",
    [
        "timezone = 'Asia/Tokyo'",
        "datestyle = 'German'",
        "intervalstyle = 'iso_8601'",
        "bytea_output = 'escape'",
        "quote_all_identifiers = on",
    ],
)
def test_format_of_the_database_is_no_drift(tree: Copy, live: str, setting: str) -> None:
    create = "alter table kites add made timestamptz default '2026-01-31 12:00Z', add gap interval default '1 day'"
    migrate(tree, live, f"{create}, add data bytea default '\\xff';", "")

    found = drift(
        tree, live, f"do $$ begin execute 'alter database ' || current_database() || $_$ set {setting}$_$; end $$"
    )

    assert [line for line in found if "[drift]" in line] == []


@pytest.mark.parametrize(
    ("ddl", "finding"),
    [
        ("create table audit (id int)", f"{KITES}:1: the database has the table audit, which no migration creates"),
        ("create sequence s", f"{KITES}:1: the database has the sequence s, which no migration creates"),
        ("drop table kites", "the database lacks the table kites"),
        (
            "create function f(int) returns int language sql as 'select 1'",
            f"{KITES}:1: the database has the function",
        ),
        (
            "create schema s; create type s.mood as enum (); create function f(s.mood) returns int return 1",
            f"{KITES}:1: the database has the function",
        ),
        (
            "alter function live_session(uuid) cost 7",
            "the function has a different definition",
        ),
        (
            (
                "drop index login_session_expires_at_idx;"
                "create unique index login_session_expires_at_idx on login_session (expires_at)"
            ),
            "index login_session_expires_at_idx is 'unique btree (expires_at)', not 'btree (expires_at)'",
        ),
        (
            "update pg_index set indisvalid = false where indexrelid = 'login_session_expires_at_idx'::regclass",
            "index login_session_expires_at_idx is 'btree (expires_at), invalid', not 'btree (expires_at)'",
        ),
        (
            "alter table login_session enable row level security",
            "login_session is different: table is 'row level security', not ''",
        ),
        (
            "create policy own on login_session for select using (user_id is null)",
            "login_session is different: policy own, which no migration creates",
        ),
        ("create domain score as int", "the database has the domain score, which no migration creates"),
        ("create type mood as enum ('sad')", "the database has the enum mood, which no migration creates"),
        ("create type pair as (a int, b int)", "the database has the type pair, which no migration creates"),
        (
            "create rule none as on delete to login_throttle do instead nothing",
            "login_throttle is different: rule none, which no migration creates",
        ),
        ("create type span as range (subtype = int)", "the database has the type span, which no migration creates"),
        (
            "create aggregate total (int) (sfunc = int4pl, stype = int)",
            "the database has the function total(integer), which no migration creates",
        ),
        (
            "alter sequence kites_id_seq cycle",
            "column id is 'bigint not null generated always as identity (cycle)', not",
        ),
        (
            "create sequence counted owned by kites.version",
            "kites is different: owned sequence counted, which no migration creates",
        ),
        (
            "alter table kites alter kite_name set statistics 9",
            "kites.kite_name is different: attstattarget is 9, not null",
        ),
        (
            "alter table kites alter kite_name set (n_distinct = 9)",
            'kites.kite_name is different: definition is ["n_distinct=9"], not []',
        ),
        (
            "alter table kites alter kite_name set storage external",
            'the table column public.kites.kite_name is different: attstorage is "e", not "x" [drift]',
        ),
        (
            (
                "create schema s; create function s.e() returns event_trigger language plpgsql as 'begin end';"
                "create event trigger e on ddl_command_end execute function s.e()"
            ),
            "the database has the event trigger e, which no migration creates",
        ),
        (
            "create statistics kites_of_user on user_id, version from kites",
            "the database has the statistics object public.kites_of_user, which no migration creates",
        ),
        ("delete from _yoyo_migration where migration_id like '0001%'", ".sql:1: is not applied to the database"),
        (
            "insert into _yoyo_migration (migration_id, migration_hash) values ('9_x', '')",
            "migrations/9_x.sql:1: is applied to the database, but has no file",
        ),
    ],
)
def test_drift_is_found(tree: Copy, live: str, checked: Connection, ddl: str, finding: str) -> None:
    with connect(live) as connection:
        connection.execute(ddl)

    [found] = check_drift(Tree.read(tree.root), live, checked)

    assert finding in str(found)
    assert found.check == "drift"


def test_schema_without_tables_is_compared(tree: Copy, own_database_url: str) -> None:
    create = "create schema tool; create function tool.f() returns int return 1;"
    migrate(tree, own_database_url, create, "drop schema tool cascade;")

    [found] = drift(tree, own_database_url, "drop function tool.f()")

    assert found.endswith("the database lacks the function tool.f() [drift]")


def test_accepted_and_foreign_tables_have_no_drift(tree: Copy, own_database_url: str) -> None:
    create = (
        "create table event (at date primary key) partition by range (at);\ncomment on table event is 'Events.';\n"
        "create table echo (at date primary key references event);\ncomment on table echo is 'Echoes.';\n"
    )
    accepted = "-- drift: ok audit (the BI team's)\n-- unread: ok event, echo (so do they)\n"
    migrate(tree, own_database_url, f"{accepted}{create}", "drop table echo, event;")

    found = drift(
        tree,
        own_database_url,
        "create table event_2026 partition of event default",
        "create schema cron; create table cron.job (id int); create function cron.f() returns int return 1",
        "create extension vector; create publication everything for all tables; grant select on kites to public",
        "create table audit (id int)",
    )

    assert found == []


def test_read_only_role_is_enough(tree: Copy, live: str) -> None:
    with psycopg.connect(live, autocommit=True) as connection:
        connection.execute("create role looks login; alter role looks set default_transaction_read_only = on")
        connection.execute("revoke all on schema public from public")
        try:
            reader = live.replace("postgres@", "looks@")
            done = invoke("check", "--directory", str(tree.root), "--database-url", live, "--live", reader)
        finally:
            connection.execute("drop role looks")

    assert done.stdout.splitlines()[-1].endswith("migrations: no findings")


def test_changed_type_is_found_where_it_is_created(tree: Copy, own_database_url: str) -> None:
    place = migrate(tree, own_database_url, "create type pair as (a int, b int);", "drop type pair;")

    [found] = drift(tree, own_database_url, "alter type pair drop attribute b")

    assert found.startswith(f"{place}:3: in the database, pair is different: type is 'a integer', not 'a ")


def test_sequence_with_another_owner_is_one_finding(tree: Copy, own_database_url: str) -> None:
    migrate(tree, own_database_url, "create sequence ticket;", "drop sequence ticket;")

    [found] = drift(tree, own_database_url, "alter sequence ticket owned by kites.version")

    assert "kites is different: owned sequence ticket, which no migration creates" in found


def test_changed_sequence_is_found_where_it_is_created(tree: Copy, own_database_url: str) -> None:
    place = migrate(tree, own_database_url, "create sequence ticket;", "drop sequence ticket;")

    [found] = drift(tree, own_database_url, "alter sequence ticket increment 2")

    assert found.startswith(f"{place}:3: in the database, ticket is different: sequence ")


def test_other_options_are_found(tree: Copy, own_database_url: str) -> None:
    create = (
        "create foreign data wrapper far; create server there foreign data wrapper far options (host 'a'); "
        "create foreign table outside (id int options (n 'a')) server there;\n"
        "create text search configuration plain (copy = simple); create domain d as int constraint c check (value > 0);"
        "create domain code as text; create type span as range (subtype = text);"
        "create aggregate total (int) (sfunc = int4pl, stype = int);"
    )
    migrate(tree, own_database_url, create, "drop foreign data wrapper far cascade; drop domain d;")

    found = drift(
        tree,
        own_database_url,
        "alter server there options (set host 'b')",
        "alter foreign table outside alter id options (set n 'b')",
        "alter text search configuration plain drop mapping for word",
        "comment on constraint c on domain d is 'C.'",
        'drop domain code; create domain code as text collate "C"',
        'drop type span; create type span as range (subtype = text, collation = "C")',
        "drop aggregate total(int); create aggregate total (int) (sfunc = int4pl, stype = int, combinefunc = int4pl)",
    )
    collation = r'"pg_catalog.\"C\"", not "pg_catalog.\"default\""'

    assert sorted(line.partition("in the database, the ")[2] for line in found if line.endswith("[drift]")) == [
        'aggregate public.total(integer) is different: aggcombinefn is "int4pl", not "-" [drift]',
        "domain constraint c on public.d is different: its comment [drift]",
        'foreign table column public.outside.id is different: attfdwoptions is ["n=b"], not ["n=a"] [drift]',
        'server there is different: srvoptions is ["host=b"], not ["host=a"] [drift]',
        "text search configuration public.plain is different: its rows in pg_ts_config_map [drift]",
        f"type public.code is different: typcollation is {collation} [drift]",
        f"type public.span is different: rngcollation is {collation} [drift]",
    ]


def test_names_with_dots_are_told_apart(tree: Copy, own_database_url: str) -> None:
    create = (
        'create schema a; create table a.b (id int primary key); create table "a.b" (id int primary key);\n'
        "comment on table a.b is 'B.'; comment on table \"a.b\" is 'AB.';\n-- unread: ok b, a.b (both)"
    )
    migrate(tree, own_database_url, create, 'drop table "a.b"; drop schema a cascade;')

    [found] = drift(tree, own_database_url, 'alter table "a.b" add "Up" text')

    assert 'in the database, "a.b" is different: column Up, which no migration creates [drift]' in found
