"""Rollbacks that do not restore the schema before their migration."""

from pathlib import Path

import pytest

from service.sqlcheck.findings import as_text
from service.sqlcheck.migrations.rollbacks import check_rollbacks
from tests.support.processes import run

TABLE = "create table toys (id bigint generated always as identity primary key, name text, size shade);\n"
PARTS = """create index toys_name on toys (name);
comment on column toys.name is 'Its name.';
create view names as select name from toys;
"""
pytestmark = pytest.mark.slow  # each migrates a database of its own

TRIGGER = "create trigger t before update on toys for each row execute function suppress_redundant_updates_trigger();\n"
FIRST = f"""create type shade as enum ('red', 'blue');
create schema shelf;
{TABLE}{PARTS}{TRIGGER}
create function twice(n integer) returns integer language sql as 'select n * 2';
create aggregate whole (integer) (sfunc = int4pl, stype = integer);
create sequence tickets;
create foreign data wrapper far;
create server there foreign data wrapper far;
create foreign table outside (id integer) server there options (name 'a');
create text search configuration plain (copy = simple);
"""
PLACE = "migrations/0002_change-toys.rollback.sql:1: "
DIFFERENT = PLACE + "the schema is not what it was before the migration: "


def check(url: str, folder: Path, migration: str, rollback: str, *, then: tuple[str, str] | None = None) -> str:
    """Return the findings about the second of two migrations, or the second and a third one."""
    texts = {
        "0001_make_toys": FIRST,
        "0001_make_toys.rollback": (
            "drop schema shelf; drop table toys cascade; drop function twice; drop type shade;"
            "drop aggregate whole (integer); drop text search configuration plain; drop sequence tickets;"
            "drop foreign data wrapper far cascade;"
        ),
        "0002_change-toys": f"-- depends: 0001_make_toys\n{migration}\n",
        "0002_change-toys.rollback": f"{rollback}\n",
    }
    if then:
        texts["0003_more"] = f"-- depends: 0002_change-toys\n{then[0]}\n"
        texts["0003_more.rollback"] = f"{then[1]}\n"
    (folder / "migrations").mkdir()
    for name, text in texts.items():
        (folder / f"migrations/{name}.sql").write_text(text)
    return as_text([*check_rollbacks(folder / "migrations", url)])


@pytest.mark.parametrize(
    ("migration", "rollback", "finding"),
    [
        ("alter table toys add a text;", "select 1;", "table column public.toys.a stays"),
        ("drop index toys_name;", "select 1;", "index public.toys_name is missing"),
        (
            "drop index toys_name;",
            "create index toys_name on toys (name desc);",
            "index public.toys_name is changed",
        ),
        ("comment on column toys.name is 'A.';", "select 1;", "table column public.toys.name is changed"),
        ("comment on table toys is 'A.';", "select 1;", "table public.toys is changed"),
        ("alter type shade add value 'a' before 'red';", "select 1;", "type public.shade is changed"),
        (
            "create or replace function twice(n integer) returns integer language sql as 'select n + n';",
            "select 1;",
            "function public.twice(integer) is changed",
        ),
        (
            "create or replace view names as select upper(name) as name from toys;",
            "create or replace view names as select lower(name) as name from toys;",
            'rule "_RETURN" on public.names is changed',
        ),
        ("grant select on toys to public;", "select 1;", "table public.toys is changed"),
        ("alter table toys enable row level security;", "select 1;", "table public.toys is changed"),
        ("create policy p on toys using (true);", "select 1;", "policy p on public.toys stays"),
        ("alter table toys disable trigger t;", "select 1;", "trigger t on public.toys is changed"),
        ("alter table toys alter name set default 'a';", "select 1;", "default value for public.toys.name stays"),
        (
            "drop aggregate whole (integer);",
            "create aggregate whole (integer) (sfunc = int4mul, stype = integer);",
            "aggregate public.whole(integer) is changed",
        ),
        ("alter sequence toys_id_seq increment 2;", "select 1;", "sequence public.toys_id_seq is changed"),
        ("alter sequence toys_id_seq cache 2;", "select 1;", "sequence public.toys_id_seq is changed"),
        ("revoke execute on function twice from public;", "select 1;", "function public.twice(integer) is changed"),
        (
            "create publication p for table toys;\n",
            "select 1;",
            "publication relation public.toys in publication p stays",
        ),
        ("grant usage on schema shelf to public;", "select 1;", "schema shelf is changed"),
        ("grant usage on sequence toys_id_seq to public;", "select 1;", "sequence public.toys_id_seq is changed"),
        ("create schema other;", "select 1;", "schema other stays"),
        ("comment on schema public is 'A.';", "select 1;", "schema public is changed"),
        ("alter sequence tickets owned by toys.id;", "select 1;", "sequence public.tickets is changed"),
        (
            "alter foreign table outside options (set name 'b');",
            "select 1;",
            "foreign table public.outside is changed",
        ),
        (
            "alter text search configuration plain drop mapping for word;",
            "select 1;",
            "text search configuration public.plain is changed",
        ),
        ("create domain d as text;", "select 1;", "type public.d stays"),
        ("alter table toys set (fillfactor = 50);", "select 1;", "table public.toys is changed"),
        ("alter table toys add unique (name) include (id);", "select 1;", "index public.toys_name_id_key stays"),
        ("-- transactional: false\ncreate index i on toys (size);", "select 1;", "index public.i stays"),
    ],
)
def test_each_difference_is_found(
    empty_database_url: str, tmp_path: Path, migration: str, rollback: str, finding: str
) -> None:
    found = check(empty_database_url, tmp_path, migration, rollback)

    assert found.startswith(DIFFERENT)
    assert finding in found


def test_many_differences_are_counted(empty_database_url: str, tmp_path: Path) -> None:
    added = ", ".join(f"add column {name} text" for name in "abcde")

    assert check(empty_database_url, tmp_path, f"alter table toys {added};", "select 1;") == (
        f"{DIFFERENT}table column public.toys.a stays, table column public.toys.b stays, "
        "table column public.toys.c stays, and 2 more [rollback]"
    )


@pytest.mark.parametrize(
    ("migration", "rollback"),
    [
        ("alter table toys add a text not null default 'a' check (a <> '');", "alter table toys drop a;"),
        ("drop table toys cascade;", TABLE + PARTS + TRIGGER),
        ("alter table toys drop name cascade;", f"alter table toys add name text;\n{PARTS}"),
        ("create table dolls (toy bigint references toys);", "drop table dolls;"),
        ("create temporary table few as select id from toys;", "select 1;"),
        ("grant select on toys to public;", "revoke select on toys from public;"),
        ("grant usage on sequence toys_id_seq to public;", "revoke usage on sequence toys_id_seq from public;"),
        ("grant usage on schema shelf to public;", "revoke usage on schema shelf from public;"),
        ("revoke usage on type shade from public;", "grant usage on type shade to public;"),
        ("revoke execute on function twice from public;", "grant execute on function twice to public;"),
        ("-- transactional: false\ncreate index concurrently i on toys (size);", "drop index concurrently i;"),
        ("-- rollback: ok 0002_change-toys (the new index stays)\ncreate index i on toys (size);", "select 1;"),
    ],
)
def test_rollback_that_restores_the_schema_has_no_finding(
    empty_database_url: str, tmp_path: Path, migration: str, rollback: str
) -> None:
    assert check(empty_database_url, tmp_path, migration, rollback) == ""


@pytest.mark.parametrize(
    ("rollback", "findings"),
    [("drop index i;", ""), ("drop index i; create schema other;", f"{DIFFERENT}schema other stays [rollback]")],
    ids=["restored", "unknown"],
)
def test_nontransactional_migration_is_followed_if_it_can_be(
    empty_database_url: str, tmp_path: Path, rollback: str, findings: str
) -> None:
    """It is applied again after its rollback, unless that leaves an unknown schema."""
    migration = "-- transactional: false\ncreate index concurrently i on toys (size);"

    then = "drop index i;", "create index i on toys (size);"

    assert check(empty_database_url, tmp_path, migration, rollback, then=then) == findings


@pytest.mark.parametrize("mode", ["", "-- transactional: false\n"])
def test_rollback_that_fails_is_found(empty_database_url: str, tmp_path: Path, mode: str) -> None:
    assert check(empty_database_url, tmp_path, f"{mode}select 1;", "select 1;\n-- Why.\ndrop table dogs;") == (
        f'{PLACE.replace(":1", ":3")}PostgreSQL says: table "dogs" does not exist [rollback]'
    )


@pytest.mark.slow
def test_rollbacks_of_the_checkout_are_accepted() -> None:
    done = run("sql", "check", "--rollbacks")

    assert (done.returncode, done.stdout[-13:]) == (0, " no findings\n")
