"""Drift: where an existing database differs from what the migrations make. The database is read, never written to."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import psycopg

from service.sqlcheck.check import Tree
from service.sqlcheck.findings import Finding
from service.sqlcheck.schema import Schema, read_schema
from service.sqlcheck.schema_difference import Change, difference
from service.sqlcheck.scratch import connect

READ_ONLY = "set transaction isolation level repeatable read, read only; set local search_path = public"
# The books that yoyo and `migrate` keep are no part of the schema.
BOOKS = re.compile(r"_?yoyo_\w+|migration_checksum")
BOOK = "select has_table_privilege(to_regclass('_yoyo_migration'), 'select')"
APPLIED = "select migration_id from _yoyo_migration"
ACCEPTED = re.compile(r"^-- drift: ok (\S+) +\S", re.MULTILINE)


def check_live(tree: Tree, url: str, migrated: psycopg.Connection[Any]) -> Iterator[Finding]:
    """Compare the database of `url` with a migrated one, a finding for each table, function, enum and sequence.

    Schemas in which the migrations make nothing are left alone, and partitions that only the database has.
    Raises psycopg.Error and ValueError.
    """
    texts = {
        path.stem: path.read_text("utf-8")
        for path in sorted(tree.migrations.glob("[!.]*.sql"))
        if not path.name.endswith(".rollback.sql")
    }
    with connect(url) as live, live.transaction():
        live.execute(READ_ONLY)
        yield from _unapplied(live, texts)
        there = read_schema(live)
        with migrated.transaction():
            migrated.execute(READ_ONLY)
            made = read_schema(migrated)
        if live.info.server_version // 10000 != migrated.info.server_version // 10000:
            there, made = _without_views(there), _without_views(made)  # each release writes them in its own way
    accepted = {name for text in texts.values() for name in ACCEPTED.findall(text)}
    for name, changes in _by_object(made, there).items():
        if name not in accepted:
            made_by = next(_places(texts, name), (f"migrations/{max(texts, default='')}.sql", 1))
            yield Finding(*made_by, _sentence(name, changes), "drift")


def _unapplied(live: psycopg.Connection[Any], texts: Mapping[str, str]) -> Iterator[Finding]:
    readable = live.execute(BOOK).fetchone()
    if not readable or not readable[0]:
        return
    applied = {name for (name,) in live.execute(APPLIED)}
    for name in sorted(texts.keys() ^ applied):
        sentence = (
            "has no file, and is applied to the database" if name in applied else "is not applied to the database"
        )
        yield Finding(f"migrations/{name}.sql", 1, sentence, "drift")


def _by_object(made: Schema, there: Schema) -> dict[str, list[Change]]:
    schemas = {table.schema for table in made.tables.values()} | {"public"}
    tables = {
        name: table
        for name, table in there.tables.items()
        if table.schema in schemas and (name in made.tables or table.kind != "partition")
    }
    found: dict[str, list[Change]] = {}
    for change in difference(made, attrs.evolve(there, tables=tables)):
        name = change.table or change.name
        if not BOOKS.fullmatch(name) and name.partition(".")[0] in schemas | {name}:
            found.setdefault(name, []).append(change)
    return found


def _without_views(schema: Schema) -> Schema:
    return attrs.evolve(schema, tables={name: attrs.evolve(each, view="") for name, each in schema.tables.items()})


def _sentence(name: str, changes: list[Change]) -> str:
    whole = next((change for change in changes if not change.table), None)
    if whole and whole.after is None:
        return f"the database lacks the {whole.kind} {name}"
    if whole and whole.before is None:
        return f"no migration makes the {whole.kind} {name}, which the database has"
    return f"in the database, {name} is different: {'; '.join(map(_difference, changes))}"


def _difference(change: Change) -> str:
    what = f"{change.kind} {change.name}" if change.table else change.kind
    before, after = change.before, change.after
    if before is None or after is None:
        return f"no {what}" if after is None else f"{what}, which no migration makes"
    if before.declared == after.declared:
        return f"the {what} has another comment"
    if "\n" in before.declared + after.declared:
        return f"the {what} has another definition"
    return f"{what} is {after.declared!r}, not {before.declared!r}"


def _places(texts: Mapping[str, str], name: str) -> Iterator[tuple[str, int]]:
    """Return the lines of migrations that create something."""
    bare = re.escape(name.partition("(")[0].rpartition(".")[2])
    kinds = "table|view|function|procedure|type|sequence"
    creates = re.compile(rf"\s*create\b.*\b({kinds})\b.*\b{bare}\b", re.IGNORECASE)
    for migration, text in texts.items():
        for number, line in enumerate(text.split("\n"), 1):
            if creates.match(line):
                yield f"migrations/{migration}.sql", number
