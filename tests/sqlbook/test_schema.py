"""The book's description of a schema, and of the difference between two."""

from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest

from service.sqlbook.contents import Contents
from service.sqlcheck import Change, Schema, difference, read_schema

Connection = psycopg.Connection[Any]


def told(changes: list[Change]) -> list[str]:
    """Return a line for each change, as in its declaration."""
    return [
        f"{change.sign} {change.kind} {change.table}.{change.name}: "
        + " => ".join(part.declared for part in (change.before, change.after) if part)
        for change in changes
    ]


def test_every_table_of_the_checkout_has_comments(schema: Schema) -> None:
    kites = schema.tables["kites"]

    assert kites.comment == "Kites of a user."
    assert kites.columns[0].comment == "Owner of the kite."
    assert schema.functions["live_session(session uuid)"].comment.startswith("For releases before 0007 only")


def test_columns_are_shown_as_declared(small_book: Contents) -> None:
    shelves, odd = small_book.schema.tables["shelves"], small_book.schema.tables['"Odd name/<i>"']

    assert [f"{column.name}: {column.declared}" for column in (*shelves.columns, *odd.columns)] == [
        "id: bigint not null generated always as identity",
        "Size <b>: integer not null default 3",
        "feeling: mood",
        "inner_id: bigint",
        "shelf_id: bigint not null",
        'label: text collate "C" not null',
    ]
    assert shelves.columns[2].labels == ("glad", 'it\'s "sad"')


def test_table_of_another_schema_is_qualified(small_book: Contents) -> None:
    schema = small_book.schema

    assert list(schema.tables) == ['"Odd name/<i>"', "shelves", "wide_shelves", "apart.notes"]
    assert schema.table("notes", "apart") is schema.tables["apart.notes"]
    assert schema.table("notes", "public") is None
    assert schema.tables["wide_shelves"].kind == "view"
    assert '"Size <b>" > 10' in schema.tables["wide_shelves"].view


@pytest.mark.parametrize(
    ("ddl", "changes"),
    [
        ("alter table kites add column species text", ["+ column kites.species: text"]),
        ("alter table kites drop column version", ["- column kites.version: integer not null default 1"]),
        (
            "alter table kites alter column version type bigint",
            ["~ column kites.version: integer not null default 1 => bigint not null default 1"],
        ),
        (
            "comment on column kites.version is 'Other.'",
            ["~ column kites.version: " + "integer not null default 1 => " * 2],
        ),
        (
            "alter table kites drop constraint kites_kite_name_check",
            ["- constraint kites.kites_kite_name_check: CHECK (((kite_name)::text <> ''::text))"],
        ),
        (
            "drop index login_session_expires_at_idx",
            ["- index login_session.login_session_expires_at_idx: btree (expires_at)"],
        ),
        ("drop table idempotency_key", None),
        ("create view names as select kite_name from kites", None),
        (
            "create function f() returns int language sql as 'select 1'",
            [
                (
                    "+ function .f(): CREATE OR REPLACE FUNCTION public.f()\n RETURNS integer\n LANGUAGE sql\n"
                    "AS $function$select 1$function$\n"
                )
            ],
        ),
        (
            "create trigger t after insert on kites for each row execute function suppress_redundant_updates_trigger()",
            [
                (
                    "+ trigger kites.t: CREATE TRIGGER t AFTER INSERT ON kites FOR EACH ROW "
                    "EXECUTE FUNCTION suppress_redundant_updates_trigger()"
                )
            ],
        ),
        ("select 1", []),
    ],
)
def test_schema_changes_are_shown(transaction: Connection, ddl: str, changes: list[str] | None) -> None:
    before = read_schema(transaction)

    transaction.execute(ddl)
    found = told(difference(before, read_schema(transaction)))

    if changes is None:  # a whole table with all its parts
        assert found[0].split(":")[0] in {"- table .idempotency_key", "+ view .names"}
        assert all(line.split(".")[0].endswith((" idempotency_key", " names")) for line in found[1:])
    else:
        assert found == [line.removesuffix(" => ") for line in changes]


@pytest.mark.parametrize(
    "directive", ["depends: 0001_a", "transactional: false", "unread: ok a.b (later)", "rollback: ok 0001_a (later)"]
)
def test_purpose_ends_before_the_directives(small_book: Contents, tmp_path: Path, directive: str) -> None:
    [migration] = small_book.migrations.values()
    path = tmp_path / "0002_add_tags.sql"
    path.write_text(f"-- Adds tags:\n-- for search.\n-- {directive}\nselect 1;\n")

    assert attrs.evolve(migration, path=path).purpose == "Adds tags: for search."


def test_each_migration_shows_what_it_creates(small_book: Contents) -> None:
    [migration] = small_book.migrations.values()

    assert migration.purpose == "Shelves `hold` things, <script>alert('it & that')</script>."
    assert migration.rollback.endswith("drop type mood;\n")
    assert [change.name for change in migration.changes if not change.table] == [
        "mood",
        '"Odd name/<i>"',
        "shelves",
        "wide_shelves",
        "apart.notes",
        "shelf_of(shelf bigint)",
    ]
