"""The design of the schema: keys, indexes and comments that it lacks or has twice, and what nothing reads."""

import re
from collections.abc import Collection, Iterator
from typing import Any

import attrs
import psycopg

from service.sqlcheck import node_tree
from service.sqlcheck.description import Description
from service.sqlcheck.findings import Finding
from service.sqlcheck.migration_files import MigrationFiles
from service.sqlcheck.schema import BOOKS, Constraint, Index, Table, read_schema

# Tables, and columns, that no view, function or policy reads, and no key or unique index needs.
UNUSED_TABLES = """
    select c.oid, c.relname::text, 0, ''
    from pg_class as c
    where c.relkind in ('r', 'p', 'v', 'm')
        and not exists (select from pg_inherits as h where h.inhrelid = c.oid)
        and not exists (select from pg_constraint as k where k.confrelid = c.oid and k.conrelid <> c.oid)
        and not exists (
            select from pg_depend as d left join pg_rewrite as r on r.oid = d.objid
            where d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid
                and (d.classid = 'pg_proc'::regclass or (d.classid = 'pg_rewrite'::regclass and r.ev_class <> c.oid))
        )
"""
UNUSED_COLUMNS = """
    select c.oid, c.relname::text, a.attnum, a.attname::text
    from pg_class as c inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relkind in ('r', 'p')
        and not exists (select from pg_inherits as h where h.inhrelid = c.oid)
        and not exists (
            select from pg_depend as d
            left join pg_constraint as k on d.classid = 'pg_constraint'::regclass and k.oid = d.objid
            left join pg_index as i on d.classid = 'pg_class'::regclass and i.indexrelid = d.objid
            left join pg_attrdef as f on d.classid = 'pg_attrdef'::regclass and f.oid = d.objid
            where d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.refobjsubid = a.attnum and (
                k.contype in ('p', 'u', 'f', 'x') or i.indisunique or f.adnum <> a.attnum
                or d.classid = any ('{pg_rewrite,pg_proc,pg_policy,pg_trigger}'::regclass[])
            )
        )
    order by c.relname, a.attnum
"""
SOURCES = "select prosrc from pg_proc where oid >= 16384"
WORD = re.compile(r"\w+")
SELECT = 2  # ACL_SELECT
LOWEST = -7  # the number from which PostgreSQL counts the columns of a set; 0 is the whole row
FLOATS = {"real", "double precision"}
MONEY = re.compile(r"(.*_)?(amount|balance|cost|fare|fee|money|payment|price|revenue|salary|tax|wage)s?(_.*)?")


@attrs.define
class Readers:
    """What queries read: columns by their table's oid and their number, and any word of what cannot be analysed."""

    tables: set[int] = attrs.field(factory=set)
    columns: set[tuple[int, int]] = attrs.field(factory=set)
    words: set[str] = attrs.field(factory=set)
    complete: bool = True  # not if PostgreSQL refuses a query, whose columns nobody knows

    def add(self, description: Description) -> None:
        """Note what a query needs the right to select."""
        if description.scope is None:
            self.add_text(description.statement.sql)
            return
        for node, _ in node_tree.walk(description.scope.query):
            if node.requiredPerms and node.requiredPerms & SELECT:
                self.tables.add(node.relid)
                self.columns.update((node.relid, number + LOWEST) for number in node.selectedCols or [])

    def add_text(self, text: str) -> None:
        """Note its words."""
        self.words.update(WORD.findall(text))

    def know(self, table: int, name: str, number: int, column: str) -> bool:
        """Return whether something reads a column, or, without one, the table."""
        if not column:
            return table in self.tables or name in self.words
        return bool({(table, number), (table, 0)} & self.columns) or column in self.words


def check_design(connection: psycopg.Connection[Any], files: MigrationFiles, readers: Readers) -> Iterator[Finding]:
    """Find what is amiss with the tables that the migrations have made, whatever the queries."""
    tables = [table for name, table in read_schema(connection).tables.items() if not BOOKS.fullmatch(name)]
    for table in tables:
        yield from _table(table, files)
        yield from _indexes(table.indexes, files)
        yield from _foreign_keys(table, files)
    yield from _unread(connection, {table.relation for table in tables}, files, readers)


def _table(table: Table, files: MigrationFiles) -> Iterator[Finding]:
    name = table.relation
    if table.kind not in {"table", "partitioned table"}:
        return
    if not table.comment:
        yield from files.find("no-comment", "table", name, f"{name} has no comment: say what a row is")
    if not table.primary_key:
        sentence = f"{name} has no primary key: rows cannot be told apart, or replicated logically"
        yield from files.find("no-primary-key", "table", name, sentence)
    for column in table.columns:
        if column.type in FLOATS and MONEY.fullmatch(column.name):
            sentence = f"{name}.{column.name} is {column.type}, which rounds money: use numeric, or integers of cents"
            yield from files.find("float-money", "column", f"{name}.{column.name}", sentence)


def _indexes(indexes: Collection[Index], files: MigrationFiles) -> Iterator[Finding]:
    """Compare their texts behind ``using``; of two that are the same, the unique one stays, then the first by name."""
    ranked = sorted((index for index in indexes if index.valid), key=lambda index: (not index.unique, index.name))
    for rank, index in enumerate(ranked):
        twin = next((each for each in ranked[:rank] if each.method == index.method), None)
        prefix = f"{index.method.removesuffix(')')}, "
        longer = next((each for each in ranked if each.method.startswith(prefix)), None)
        if twin or (longer and index.plain and not index.unique):
            what = f"is the same as {twin.name}" if twin else f"begins {longer.name}" if longer else ""
            sentence = f"index {index.name} {what}, which serves its queries: it only costs writes"
            yield from files.find("duplicate-index", "index", index.name, sentence)


def _foreign_keys(table: Table, files: MigrationFiles) -> Iterator[Finding]:
    for key in table.foreign_keys:
        if not any(index.valid and _serves(index, key) for index in table.indexes):
            name, first = table.relation, f"{table.relation}.{key.columns[0]}"
            place = files.places.get(("index", key.name)) or files.places.get(("column", first))
            sentence = (
                f"no index of {name} begins with the columns of {key.name}: each delete over there reads all of it"
            )
            yield from files.find("foreign-key-index", "table", key.name, sentence, place)


def _serves(index: Index, key: Constraint) -> bool:
    """Return whether PostgreSQL finds the rows of a foreign key by an index; its columns can have any order."""
    begins = {*index.columns[: len(key.columns)]} == {*key.columns}
    condition = index.method.partition(" WHERE ")[2]
    first = index.method.partition("(")[2].startswith(key.columns[0])
    return begins and (index.plain or (first and condition in {"", f"({key.columns[0]} IS NOT NULL)"}))


def _unread(
    connection: psycopg.Connection[Any], tables: Collection[str], files: MigrationFiles, readers: Readers
) -> Iterator[Finding]:
    if not readers.complete:
        return
    for (source,) in connection.execute(SOURCES).fetchall():
        readers.add_text(source)
    unread: set[int] = set()
    for row in [*connection.execute(UNUSED_TABLES), *connection.execute(UNUSED_COLUMNS)]:
        oid, table, _, column = row
        if table not in tables or oid in unread or readers.know(*row):
            continue
        kind, name = ("column", f"{table}.{column}") if column else ("table", table)
        if not column:
            unread.add(oid)
        yield from files.find("unread", kind, name, f"no query, view or function reads {name}")
