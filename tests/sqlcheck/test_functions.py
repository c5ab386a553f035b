"""Findings about functions in SQL and PL/pgSQL."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import psycopg
import pytest

from service.sqlcheck.analysis.catalogue import Catalogue
from service.sqlcheck.findings import as_text
from service.sqlcheck.migrations.functions import check_functions
from service.sqlcheck.migrations.migration_files import MigrationFiles
from service.sqlcheck.scratch import connect

FILE = "migrations/0001_make_toys.sql"
TOYS = "create table toys (id bigint primary key, name text not null, note text);\n"


@attrs.frozen
class Migrated:
    """A database whose changes are rolled back, and the folder of its migration."""

    connection: psycopg.Connection[tuple[object, ...]]
    folder: Path

    def check(self, *migrations: str) -> str:
        """Apply migrations, and return the findings about their functions."""
        for number, text in enumerate(migrations):
            (self.folder / f"{number + 1:04}_make_toys.sql").write_text(text)
            self.connection.execute(text.encode())
        files = MigrationFiles(self.folder)
        found = [*check_functions(self.connection, Catalogue(self.connection), files), *files.unneeded_acceptances()]
        return as_text(found).replace(f"{FILE}:", "")


@pytest.fixture
def migrated(rollback_database_url: str, tmp_path: Path) -> Iterator[Migrated]:
    """Return an empty database."""
    (tmp_path / "migrations").mkdir()
    with connect(rollback_database_url) as connection, connection.transaction(force_rollback=True):
        yield Migrated(connection, tmp_path / "migrations")


def in_plpgsql(body: str, declared: str = "") -> str:
    """Return a PL/pgSQL function whose body is on the fifth line of the migration."""
    begin = "create function f(condition text) returns void language plpgsql as $$"
    return f"{TOYS}{begin}\ndeclare n bigint; many bigint[]; toy toys%rowtype; {declared}\nbegin\n    {body}\nend $$;\n"


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ("select id into n from dogs;", "names dogs, which does not exist [refused]"),
        ("if exists (select from dogs) then return; end if;", "names dogs, which does not exist [refused]"),
        ("n := (select max(id) from dogs);", "names dogs, which does not exist [refused]"),
        ("insert into toys (id) values (1);", "omits toys.name, which is NOT NULL and has no default"),
        ("execute 'select 1 from toys where ' || condition into n;", "runs SQL built from text"),
        ("for n in execute format('select %s', condition) loop null; end loop;", "runs SQL built from text"),
        ("execute concat('drop table ', condition);", "runs SQL built from text"),
        ("execute format('select %s, %s', n, condition);", "runs SQL built from text"),
        ("execute format('select %*s', n, condition);", "runs SQL built from text"),
        ("execute ('drop table ' || condition)::text;", "runs SQL built from text"),
        ("execute case when n > 1 then 'drop table ' || condition else '' end;", "runs SQL built from text"),
        ("execute coalesce('drop table ' || condition, '');", "runs SQL built from text"),
        ("declare n text := condition; begin execute format('select %s', n); end;", "runs SQL built from text"),
        ("many[1:2] := array[1]; execute condition || '';", "runs SQL built from text"),
        ("toy.name := 'a'; execute condition || '';", "runs SQL built from text"),
    ],
)
def test_fault_in_plpgsql_has_its_line(migrated: Migrated, body: str, finding: str) -> None:
    assert migrated.check(in_plpgsql(body)).startswith(f"5: f() {finding}")


@pytest.mark.parametrize(
    ("line", "column", "body"),
    [
        (6, "t.size", "select id\n    into n from toys as t where t.size = n;"),
        (5, '"size"', "if exists (select from toys where size = condition) then return; end if;"),
        (5, '"size" of relation "toys"', "update toys set size = n;"),
        (5, '"size" of relation "toys"', "insert into toys (id, name, size) values (1, 'a', 2);"),
        (5, '"size"', "for n in select size from toys loop null; end loop;"),
        (5, '"size"', "n := (select max(id) from toys where f.condition = size);"),
    ],
)
def test_missing_column_in_plpgsql_is_found(migrated: Migrated, line: int, column: str, body: str) -> None:
    assert migrated.check(in_plpgsql(body)) == (
        f"{line}: f(): PostgreSQL says: column {column} does not exist [refused]"
    )


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("perform pg_advisory_lock(1);", "pg_advisory_lock()"),
        ("perform set_config('work_mem', '1GB', false);", "set_config()"),
        ("set work_mem = '1GB';", "SET"),
        ("create temporary table kept (id bigint);", "a temporary table"),
    ],
)
def test_session_state_in_a_function_is_found(migrated: Migrated, body: str, what: str) -> None:
    sentence = f"f(): {what} outlives the statement on a connection that other requests use [session-state]"

    assert migrated.check(in_plpgsql(body)) == f"5: {sentence}"


@pytest.mark.parametrize(
    ("declared", "body"),
    [
        ("q text := 'select ' || condition;", ""),
        ("q text;", "q := 'select ' || condition;"),
        ("q text;", "select 'select ' || condition, 1 into strict q, n;"),
    ],
)
def test_text_built_into_a_variable_is_found(migrated: Migrated, declared: str, body: str) -> None:
    assert migrated.check(in_plpgsql(f"{body} execute q;", declared)).endswith("[built-sql]")


@pytest.mark.parametrize(
    "body",
    [
        "insert into toys (id, name) values (1, 'a');",
        "insert into toys values (1, 'a');",
        "execute 'select 1 from toys where name = $1' into n using condition;",
        "execute format('drop table %I', condition);",
        "execute 'drop table ' || quote_ident(condition) || ' cascade';",
        "execute 'analyze ' || 'toys'::regclass;",
        "execute format('select %I from %s limit 5 %% %s', condition, 'toys'::regclass, n);",
        "execute format('select %2$s from %1$I', condition, n);",
        "with dogs as (select 1) select count(*) into n from dogs;",
        "create table dogs (id bigint); select count(*) into n from dogs;",
        "create table dogs as select 1 as id; select count(*) into n from dogs;",
        "set local work_mem = '1GB'; perform pg_advisory_xact_lock(1);",
        "perform set_config('work_mem', '1GB', is_local => true), set_config('work_mem', '1GB', true);",
        "execute condition;",
        "execute coalesce(condition::text, case when n > 1 then 'select 1' || '' end);",
        "select id into n from toys as t where t.name = f.condition and f.condition = condition and id > n;",
        "select toys.* into toy from toys; insert into toys select toy.*; perform 1 from toys where id = toy.id;",
        "select name into kept from toys; perform to_json(kept), kept; perform 1 from toys where id = kept.id;",
        "if found then raise notice '%', n; end if;",
        "alter table toys add size integer; update toys set size = 1;",
    ],
)
def test_harmless_plpgsql_has_no_finding(migrated: Migrated, body: str) -> None:
    assert migrated.check(in_plpgsql(body, "kept record;")) == ""


def test_alias_of_a_variable_is_no_column(migrated: Migrated) -> None:
    assert migrated.check(in_plpgsql("raise notice '%', other;", "other alias for condition;")) == ""


def test_columns_of_the_row_are_unknown_without_a_trigger(migrated: Migrated) -> None:
    function = (
        "create function f() returns trigger language plpgsql as $$"
        " begin new.size := tg_op; perform to_json(old), new.size from toys; return new; end $$;"
    )

    assert migrated.check(TOYS + function) == ""


TRIGGER = "create trigger f before update on {} for each row execute function f();\n"


@pytest.mark.parametrize(
    ("line", "field", "body"),
    [
        (3, "new.size", "new.size := 1;"),
        (3, "old.size", "if OLD.Size = 1 then return null; end if;"),
        (4, "new.size", "update toys set note = 'a'\n    where id = new.size;"),
        (3, "new.size", "select 1 into new.size;"),
    ],
)
def test_column_that_a_trigger_row_lacks_is_found(migrated: Migrated, line: int, field: str, body: str) -> None:
    function = (
        f"create function f() returns trigger language plpgsql as $$ begin\n    {body}\n    return new; end $$;\n"
    )

    assert migrated.check(TOYS + function + TRIGGER.format("toys")) == (
        f"{line}: f() names {field}, but no table whose trigger calls it has this column [refused]"
    )


@pytest.mark.parametrize("body", ["new.note := old.name;", "new.size := 1;", "perform new.tableoid;"])
def test_column_of_one_of_the_trigger_rows_is_accepted(migrated: Migrated, body: str) -> None:
    """A function of several triggers can ask for the name of the table."""
    function = f"create function f() returns trigger language plpgsql as $$ begin {body} return new; end $$;"
    boxes = "create table boxes (size integer);"

    assert migrated.check(TOYS + boxes + function + TRIGGER.format("toys") + TRIGGER.format("boxes")) == ""


def test_sql_function_without_its_table_is_found(migrated: Migrated) -> None:
    function = "create function f() returns bigint language sql as $$\n    select max(id)\n    from toys\n$$;\n"

    assert migrated.check(TOYS + function, "drop table toys;") == (
        '4: f(): PostgreSQL says: relation "toys" does not exist [refused]'
    )


def test_insert_in_sql_function_is_checked(migrated: Migrated) -> None:
    function = (
        "create function f() returns void language sql as $$\n    select;\n    insert into toys (id) values (1);\n$$;"
    )

    assert "4: f() omits toys.name" in migrated.check(TOYS + function)


def test_function_that_pglast_cannot_parse_is_skipped(migrated: Migrated) -> None:
    """Its copy of PL/pgSQL knows no arrays as VARIADIC parameters."""
    header = "create function f(variadic many text[]) returns void language plpgsql"
    function = f"{header} as $$ begin execute many[1] || ''; end $$;"

    assert migrated.check(function) == ""


def test_security_definer_needs_a_search_path(migrated: Migrated) -> None:
    text = "create function {}() returns bigint language sql security definer {} as $$ select 1 $$;\n"

    assert migrated.check(text.format("f", "") + text.format("g", "set search_path = public, pg_temp")) == (
        "1: f() is SECURITY DEFINER without a search_path: its caller decides what its names mean [search-path]"
    )


def test_parsed_body_is_reported_at_its_creation(migrated: Migrated) -> None:
    text = "\ncreate function f() returns bigint language sql security definer begin atomic select 1::bigint; end;\n"

    assert migrated.check(text).startswith("2: f() is SECURITY DEFINER")


def test_transition_table_of_a_trigger_is_a_table(migrated: Migrated) -> None:
    function = (
        "create function f() returns trigger language plpgsql as $$ begin perform 1 from fresh; return null; end $$;"
    )
    trigger = (
        "create trigger f after insert on toys referencing new table as fresh for each statement execute function f();"
    )

    assert migrated.check(TOYS + function + trigger) == ""


def test_finding_is_accepted_in_any_migration(migrated: Migrated) -> None:
    accepted = "-- session-state: ok f (only the nightly job calls it, on a connection of its own)\nselect 1;"

    assert migrated.check(in_plpgsql("perform pg_advisory_lock(1);"), accepted) == ""


def test_unneeded_acceptance_is_found(migrated: Migrated) -> None:
    assert migrated.check("-- refused: ok f (later)\nselect 1;") == ("1: 'refused: ok f' accepts no finding [marker]")
