"""Drift: differences between an existing database, which is only read, and the schema of the migrations."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import attrs
import psycopg

from service.sqlcheck.findings import Finding
from service.sqlcheck.migrations.migration_files import MigrationFiles, Place
from service.sqlcheck.migrations.schema import BOOKKEEPING_TABLES, Schema, read_schema
from service.sqlcheck.migrations.schema_difference import Change, difference
from service.sqlcheck.scratch import connect
from service.sqlcheck.tree import Tree

READ_ONLY = "set transaction isolation level repeatable read, read only"
# Names have their schemas then, even if the role may not use some.
WITH_SCHEMAS = "set local search_path = ''"
CAN_READ_MIGRATIONS = "select has_table_privilege(to_regclass('_yoyo_migration'), 'select')"
KINDS = {"function", "enum", "domain", "type", "sequence"}
APPLIED = "select migration_id from _yoyo_migration"


def check_drift(tree: Tree, url: str, migrated: psycopg.Connection[Any]) -> Iterator[Finding]:
    """Find the tables, functions, types and sequences that differ between a database and a migrated one.

    Schemas that the migrations do not use are ignored, and partitions that only the database has.
    Raises psycopg.Error and OperatorError.

    :param url: the database to check
    :param migrated: a connection to a database with all migrations
    """
    files = MigrationFiles(tree.migrations)
    with connect(url) as live, live.transaction():
        live.execute(READ_ONLY)
        yield from _unapplied(live, [Path(path).stem for path in files.texts])
        live.execute(WITH_SCHEMAS)
        found = read_schema(live)
        with migrated.transaction():
            migrated.execute(WITH_SCHEMAS)
            expected = read_schema(migrated)
        if live.info.server_version // 10000 != migrated.info.server_version // 10000:
            found, expected = _without_views(found), _without_views(expected)  # each release formats them differently
    newest = Place(max(files.texts, default=""), 1)
    for name, changes in _by_object(expected, found).items():
        kind = next((change.kind for change in changes if change.kind in KINDS and not change.table), "table")
        bare = name.partition("(")[0].rpartition(".")[2]
        place = files.places.get((kind, bare), newest)
        yield from files.find("drift", kind, bare, _sentence(name, changes), place)


def _unapplied(live: psycopg.Connection[Any], names: Collection[str]) -> Iterator[Finding]:
    readable = live.execute(CAN_READ_MIGRATIONS).fetchone()
    if not readable or not readable[0]:
        return
    applied = {name for (name,) in live.execute(APPLIED)}
    for name in sorted({*names} ^ applied):
        sentence = (
            "is applied to the database, but has no file" if name in applied else "is not applied to the database"
        )
        yield Finding(f"migrations/{name}.sql", 1, sentence, "drift")


def _by_object(expected: Schema, actual: Schema) -> dict[str, list[Change]]:
    names = [*expected.tables, *expected.functions, *expected.sequences, *expected.types]
    schemas = {"", "public", *(name.partition("(")[0].rpartition(".")[0] for name in names)}
    tables = {
        name: table
        for name, table in actual.tables.items()
        if table.schema in schemas and (name in expected.tables or table.kind != "partition")
    }
    found: dict[str, list[Change]] = {}
    for change in difference(expected, attrs.evolve(actual, tables=tables)):
        name = change.table or change.name
        bare = name.partition("(")[0]  # without arguments, whose types can have another schema
        is_moved = change.name in expected.sequences.keys() & actual.sequences and not (change.before and change.after)
        if change.kind == "sequence" and is_moved:
            continue  # a column owns it now, or no longer; its table says so
        if not BOOKKEEPING_TABLES.fullmatch(name) and (change.before or bare.rpartition(".")[0] in schemas):
            found.setdefault(name, []).append(change)
    return found


def _without_views(schema: Schema) -> Schema:
    return attrs.evolve(schema, tables={name: attrs.evolve(each, view="") for name, each in schema.tables.items()})


def _sentence(name: str, changes: list[Change]) -> str:
    whole = next((change for change in changes if not change.table), None)
    if whole and whole.after is None:
        return f"the database lacks the {whole.kind} {name}"
    if whole and whole.before is None:
        return f"the database has the {whole.kind} {name}, which no migration creates"
    return f"in the database, {name} is different: {'; '.join(map(_difference, changes))}"


def _difference(change: Change) -> str:
    what = f"{change.kind} {change.name}" if change.table else change.kind
    before, after = change.before, change.after
    if before is None or after is None:
        return f"no {what}" if after is None else f"{what}, which no migration creates"
    if before.declared == after.declared:
        return f"the {what} has another comment"
    if "\n" in before.declared + after.declared:
        return f"the {what} has another definition"
    return f"{what} is {after.declared!r}, not {before.declared!r}"
