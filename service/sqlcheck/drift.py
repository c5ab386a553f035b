"""Drift: differences between an existing database, which is only read, and the schema of the migrations."""

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import attrs
import psycopg

from service.sqlcheck.findings import Finding
from service.sqlcheck.migrations.migration_files import MigrationFiles, Place
from service.sqlcheck.migrations.schema import BOOKKEEPING_TABLES, Schema, qualified, read_schema, schema_and_name
from service.sqlcheck.migrations.schema_difference import Change, as_restored, difference
from service.sqlcheck.migrations.snapshot import Object, Snapshot, read_snapshot
from service.sqlcheck.scratch import connect
from service.sqlcheck.tree import Tree

READ_ONLY = "set transaction isolation level repeatable read, read only"
# Names then include their schemas, even if the role has no USAGE privilege on one. The rest is how PostgreSQL writes
# names and constants in definitions, which a database, a role or the machine of the embedded server can set otherwise.
FORMAT = """
    set local search_path = ''; set local quote_all_identifiers = off; set local timezone = 'UTC';
    set local datestyle = 'ISO'; set local intervalstyle = 'postgres'; set local bytea_output = 'hex'
"""
CAN_READ_MIGRATIONS = "select has_table_privilege(to_regclass('_yoyo_migration'), 'select')"
KINDS = {"function", "enum", "domain", "type", "sequence", "event trigger"}
APPLIED = "select migration_id from _yoyo_migration"
# The catalogues of the objects that `difference` compares: with all their properties, or without some.
FULLY_COMPARED = {"pg_attrdef", "pg_default_acl", "pg_event_trigger", "pg_proc", "pg_rewrite"}
PARTLY_COMPARED = {"pg_aggregate", "pg_attribute", "pg_class", "pg_constraint", "pg_policy", "pg_trigger", "pg_type"}
# The columns that contain the table or the domain of an object.
OWNERS = ("attrelid", "conrelid", "contypid", "indrelid", "polrelid", "tgrelid")
# They depend on the server, on roles, on contents, or on how the database was restored.
UNCOMPARED = re.compile(r".*(acl|owner|version|tablespace|islocal|inhcount|ispopulated|attndims|partdefid)")


def check_drift(tree: Tree, url: str, migrated: psycopg.Connection[Any]) -> Iterator[Finding]:
    """Find the objects that differ between a database and a migrated one.

    Ignores privileges and owners. Also ignores, if only the database has them: partitions, schemas that the migrations
    do not use, and objects outside schemas, such as extensions and publications, except event triggers.

    :param url: the database to check
    :param migrated: a connection to a database with all migrations
    :raises psycopg.Error: PostgreSQL cannot be reached, or fails
    :raises OperatorError: the URL is invalid, or PostgreSQL is too old
    """
    files = MigrationFiles(tree.migrations)
    with connect(url) as live, live.transaction():
        live.execute(READ_ONLY)
        yield from _unapplied(live, [Path(path).stem for path in files.texts])
        schema, snapshot = _read(live)
        wanted_schema, wanted_snapshot = _read(migrated)
        is_same_release = live.info.server_version // 10000 == migrated.info.server_version // 10000
    if not is_same_release:  # each release formats views differently
        schema, wanted_schema = _without_views(schema), _without_views(wanted_schema)
    newest = Place(max(files.texts, default=""), 1)
    by_object = _by_object(wanted_schema, schema)
    found = [(_kind(changes), name, _sentence(name, changes)) for name, changes in by_object.items()]
    reported = {*by_object, *(change.name for changes in by_object.values() for change in changes)}
    others = _others(wanted_snapshot, snapshot, reported, is_same_release=is_same_release)
    for kind, name, sentence in [*found, *(("table", name, sentence) for name, sentence in others)]:
        bare = schema_and_name(name)[1]
        yield from files.find("drift", kind, bare, sentence, files.places.get((kind, bare), newest))


def _read(connection: psycopg.Connection[Any]) -> tuple[Schema, Snapshot]:
    with connection.transaction():
        connection.execute(FORMAT)
        return read_schema(connection), read_snapshot(connection)


def _unapplied(live: psycopg.Connection[Any], names: Collection[str]) -> Iterator[Finding]:
    readable = live.execute(CAN_READ_MIGRATIONS).fetchone()
    if not readable or not readable[0]:
        return
    applied = {name for (name,) in live.execute(APPLIED)}
    for name in sorted({*names} ^ applied):
        what = "is applied to the database, but has no file" if name in applied else "is not applied to the database"
        yield Finding(f"migrations/{name}.sql", 1, what, "drift")


def _by_object(expected: Schema, actual: Schema) -> dict[str, list[Change]]:
    names = [*expected.tables, *expected.functions, *expected.sequences, *expected.types]
    schemas = {"public", *(schema_and_name(name)[0] for name in names)}
    tables = {
        name: table
        for name, table in actual.tables.items()
        if table.schema in schemas and (name in expected.tables or table.kind != "partition")
    }
    found: dict[str, list[Change]] = {}
    for change in difference(expected, attrs.evolve(actual, tables=tables)):
        name = change.table or change.name
        is_moved = change.name in expected.sequences.keys() & actual.sequences and not (change.before and change.after)
        if change.kind == "sequence" and is_moved:
            continue  # it became owned by a column, or no longer is; that is a change of the table
        if not BOOKKEEPING_TABLES.fullmatch(name) and (change.before or schema_and_name(name)[0] in schemas):
            found.setdefault(name, []).append(change)
    return found


def _others(
    expected: Snapshot, actual: Snapshot, reported: Collection[str], *, is_same_release: bool
) -> Iterator[tuple[str, str]]:
    """Yield the differences that `difference` does not find: the name of the object, and a sentence."""
    schemas = {each.schema for each in expected.values()} - {None}
    for kind, identity in sorted(expected.keys() | actual.keys()):
        before, after = expected.get((kind, identity)), actual.get((kind, identity))
        known = before or after or Object(None)
        name = _owner(known) or identity.removeprefix("public.")
        is_partly_compared = bool(known.rows.keys() & PARTLY_COMPARED)
        is_reported = name in reported if is_partly_compared else known.rows.keys() & FULLY_COMPARED
        if is_reported or BOOKKEEPING_TABLES.fullmatch(name) or identity == "public":
            continue
        if before and after:
            if changes := "; ".join(_changes(before, after)) if is_same_release else "":
                yield name, f"in the database, the {kind} {identity} is different: {changes}"
        elif is_partly_compared and kind != "domain constraint":
            continue
        elif before:
            yield name, f"the database lacks the {kind} {identity}"
        elif known.schema in schemas:
            yield name, f"the database has the {kind} {identity}, which no migration creates"


def _owner(found: Object) -> str:
    """Return the name of the table or the domain of an object."""
    if owned := found.rows.get("pg_depend"):  # by a column, whose table is named first
        return qualified(*schema_and_name(owned[0]["definition"]))
    rows = [row for rows in found.rows.values() for row in rows]
    owners = (row[column] for column in OWNERS for row in rows if row.get(column, "0") != "0")
    return str(next(owners, "")).removeprefix("public.")


def _changes(before: Object, after: Object) -> Iterator[str]:
    for catalogue in sorted(before.rows.keys() | after.rows.keys()):
        old, new = before.rows.get(catalogue, []), after.rows.get(catalogue, [])
        if old == new:
            continue
        if catalogue == "pg_description":
            yield "its comment"
        elif len(old) == len(new) == 1:
            for column in sorted(old[0]):
                was, is_now = (json.dumps(rows[0][column], ensure_ascii=False) for rows in (old, new))
                if as_restored(was) != as_restored(is_now) and not UNCOMPARED.fullmatch(column):
                    yield f"{column} is {is_now}, not {was}"
        else:
            yield f"its rows in {catalogue}"


def _without_views(schema: Schema) -> Schema:
    return attrs.evolve(schema, tables={name: attrs.evolve(each, view="") for name, each in schema.tables.items()})


def _kind(changes: list[Change]) -> str:
    return next((change.kind for change in changes if change.kind in KINDS and not change.table), "table")


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
    if attrs.evolve(before, comment=after.comment) == after:
        return f"the {what} has a different comment"
    if "\n" in before.declared + after.declared:
        return f"the {what} has a different definition"
    return f"{what} is {after.declared!r}, not {before.declared!r}"
