"""Lint of the schema: missing keys, comments and indexes, duplicate indexes, and unread tables and columns."""

import re
from collections.abc import Collection, Iterator
from typing import Any

import attrs
import psycopg

from service.sqlcheck.analysis import query_tree
from service.sqlcheck.analysis.description import Description
from service.sqlcheck.findings import Finding
from service.sqlcheck.migrations.migration_files import MigrationFiles
from service.sqlcheck.migrations.schema import BOOKKEEPING_TABLES, Constraint, Index, Table, read_schema

# Tables and columns that no view, function or policy reads, and no key or unique index requires.
UNUSED_TABLES = """
    select c.oid, c.relname::text, 0, ''
    from pg_class as c
    where c.relkind in ('r', 'p', 'v', 'm') and c.oid >= 16384 -- FirstNormalObjectId: not the catalogue's
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
    where c.relkind in ('r', 'p') and c.oid >= 16384
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
FIRST_ATTRIBUTE = -7  # FirstLowInvalidHeapAttributeNumber, from which sets of columns count; 0 is the whole row
FLOAT_TYPES = {"real", "double precision"}
MONEY_NAME = re.compile(
    r"(.*[\W_])?(amount|balance|cost|discount|fare|fee|money|payment|price|revenue|salary|subtotal|tax|vat|wage)s?([\W_].*)?",
    re.IGNORECASE,
)


@attrs.define
class QueryReads:
    """The tables and columns that queries read, by oid and number, and the words of queries without analysis."""

    tables: set[int] = attrs.field(factory=set)
    columns: set[tuple[int, int]] = attrs.field(factory=set)
    words: set[str] = attrs.field(factory=set)
    complete: bool = True  # false if PostgreSQL rejects a query, whose columns are then unknown

    def add(self, description: Description) -> None:
        """Add the columns on which a query requires the SELECT privilege."""
        if description.scope is None:
            self.add_text(description.statement.sql)
            return
        for node, _ in query_tree.walk(description.scope.query):
            if node.requiredPerms and node.requiredPerms & SELECT:
                self.tables.add(node.relid)
                self.columns.update((node.relid, number + FIRST_ATTRIBUTE) for number in node.selectedCols or [])

    def add_text(self, text: str) -> None:
        """Add the words of a text."""
        self.words.update(WORD.findall(text))

    def contains(self, table: int, name: str, number: int, column: str) -> bool:
        """Return whether something reads a column, or, if `column` is empty, the table."""
        if not column:
            return table in self.tables or name in self.words
        return bool({(table, number), (table, 0)} & self.columns) or column in self.words


def check_design(connection: psycopg.Connection[Any], files: MigrationFiles, reads: QueryReads) -> Iterator[Finding]:
    """Find problems of the tables that the migrations create."""
    tables = [table for name, table in read_schema(connection).tables.items() if not BOOKKEEPING_TABLES.fullmatch(name)]
    for table in tables:
        yield from _check_table(table, files)
        yield from _check_indexes(table.relation, table.indexes, files)
        yield from _check_foreign_keys(table, files)
    yield from _find_unread(connection, {table.relation for table in tables}, files, reads)


def _check_table(table: Table, files: MigrationFiles) -> Iterator[Finding]:
    name = table.relation
    if table.kind not in {"table", "partitioned table"}:
        return
    if not table.comment:
        yield from files.find("no-comment", "table", name, f"{name} has no comment: describe a row")
    if not table.primary_key:
        sentence = f"{name} has no primary key: rows cannot be identified, nor replicated logically"
        yield from files.find("no-primary-key", "table", name, sentence)
    for column in table.columns:
        if column.type in FLOAT_TYPES and MONEY_NAME.fullmatch(column.name):
            sentence = f"{name}.{column.name} is {column.type}, which rounds money: use numeric, or integers of cents"
            yield from files.find("float-money", "column", f"{name}.{column.name}", sentence)


def _check_indexes(table: str, indexes: Collection[Index], files: MigrationFiles) -> Iterator[Finding]:
    """Find indexes that another one makes redundant.

    Of equal indexes, one is kept: the primary key, otherwise a unique one, otherwise the first by name.
    """
    ranked = sorted((index for index in indexes if index.valid), key=lambda index: not index.unique)
    whole = [index for index in ranked if " WHERE " not in index.method]
    for rank, index in enumerate(ranked):
        prefix = f"{index.method.removesuffix(')')}, "
        found = [f"the same as {each.name}" for each in ranked[:rank] if each.method == index.method]
        if not index.unique:
            found += [f"a prefix of {each.name}" for each in whole if each.method.startswith(prefix)]
        if found:
            sentence = f"index {index.name} is {found[0]}, which serves its queries: it only slows down writes"
            place = files.place_of("index", index.name, table)
            yield from files.find("duplicate-index", "index", index.name, sentence, place)


def _check_foreign_keys(table: Table, files: MigrationFiles) -> Iterator[Finding]:
    for key in table.foreign_keys:
        if not any(index.valid and _serves(index, key) for index in table.indexes):
            name = table.relation
            place = files.places.get(("index", key.name)) or files.place_of("column", f"{name}.{key.columns[0]}")
            why = "deleting a row that it references scans the whole table"
            partial = next((each.name for each in table.indexes if " WHERE " in each.method and _begins(each, key)), "")
            but = f" and has all rows, unlike {partial}" if partial else ""
            sentence = f"no index of {name} begins with the columns of {key.name}{but}: {why}"
            yield from files.find("foreign-key-index", "table", key.name, sentence, place)


def _begins(index: Index, key: Constraint) -> bool:
    return {*index.columns[: len(key.columns)]} == {*key.columns}


def _serves(index: Index, key: Constraint) -> bool:
    """Return whether PostgreSQL can find the rows of a foreign key by an index; the order of its columns is free."""
    condition = index.method.partition(" WHERE ")[2]
    first = index.method.partition("(")[2].startswith(key.columns[0])
    return _begins(index, key) and (index.plain or (first and condition in {"", f"({key.columns[0]} IS NOT NULL)"}))


def _find_unread(
    connection: psycopg.Connection[Any], tables: Collection[str], files: MigrationFiles, reads: QueryReads
) -> Iterator[Finding]:
    if not reads.complete:
        return
    for (source,) in connection.execute(SOURCES).fetchall():
        reads.add_text(source)
    unread: set[int] = set()
    for row in [*connection.execute(UNUSED_TABLES), *connection.execute(UNUSED_COLUMNS)]:
        oid, table, _, column = row
        if table not in tables or oid in unread or reads.contains(*row):
            continue
        kind, name = ("column", f"{table}.{column}") if column else ("table", table)
        if not column:
            unread.add(oid)
        yield from files.find("unread", kind, name, f"no query, view or function reads {name}")
