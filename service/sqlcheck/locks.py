"""`sql locks`: each migration is applied to a scratch database, and PostgreSQL tells which locks it then holds.

A lock counts on a table that was there before: nobody waits for a table that the same migration makes. A table is
rewritten if it has another file afterwards. Both show on empty tables as they would on full ones.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import psycopg
from yoyo.migrations import read_sql_migration  # type: ignore[import-untyped]  # yoyo ships no types

from service.migrate import MigrationError, load_migrations
from service.sqlcheck.findings import Finding
from service.sqlcheck.migration_files import behind_comments
from service.sqlcheck.scratch import advised

# By strength, with what each makes wait (https://www.postgresql.org/docs/current/explicit-locking.html).
WAITS = {
    "AccessShareLock": "",
    "RowShareLock": "",
    "RowExclusiveLock": "",
    "ShareUpdateExclusiveLock": "other migrations wait",
    "ShareLock": "writers wait",
    "ShareRowExclusiveLock": "writers wait",
    "ExclusiveLock": "writers wait",
    "AccessExclusiveLock": "readers and writers wait",
}
ACCEPTED = re.compile(r"^-- locks: ok \S", re.MULTILINE)
CONCURRENTLY = re.compile(r"\bconcurrently\b", re.IGNORECASE)

# What a statement changes, of tables that nobody has locked yet: their files, indexes, foreign keys and columns.
TABLES = """
    select c.relname::text, pg_relation_filenode(c.oid)
    from pg_class as c
    where c.relkind in ('r', 'm') and c.relnamespace = 'public'::regnamespace
"""
# By file: an index that keeps it is renamed at most, one that gets another is built.
INDEXES = """
    select coalesce(pg_relation_filenode(i.indexrelid), i.indexrelid)::integer, c.relname::text
    from pg_index as i inner join pg_class as c on c.oid = i.indrelid
"""
# By oid; of those that are not validated, none.
FOREIGN_KEYS = """
    select oid::integer, case when convalidated then (select relname::text from pg_class where oid = conrelid) end
    from pg_constraint where contype = 'f'
"""
# Whether a column is NOT NULL for good, and whether PostgreSQL would believe it without reading the rows.
NOT_NULL = """
    select c.relname || '.' || a.attname, a.attnotnull and n.oid is null, a.attnotnull or exists (
        select from pg_constraint as k
        where k.conrelid = c.oid and k.contype = 'c' and k.convalidated
            and pg_get_constraintdef(k.oid) = format('CHECK ((%I IS NOT NULL))', a.attname)
    )
    from pg_class as c
    inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_constraint as n
        on n.conrelid = c.oid and n.contype = 'n' and n.conkey = array[a.attnum] and not n.convalidated
    where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
"""
LOCKS = """
    select c.relname::text, l.mode
    from pg_locks as l inner join pg_class as c on c.oid = l.relation
    where l.pid = pg_backend_pid() and l.locktype = 'relation' and c.relkind in ('r', 'p', 'm')
        and c.relnamespace = 'public'::regnamespace
"""
BARE_FOREIGN_KEYS = """
    select con.conname::text, c.relname::text
    from pg_constraint as con inner join pg_class as c on c.oid = con.conrelid
    where con.contype = 'f' and not exists (
        select from pg_index as i
        where i.indrelid = con.conrelid and i.indisvalid and i.indpred is null
            and (i.indkey::int2[])[0:cardinality(con.conkey) - 1] @> con.conkey
    )
"""
INVALID_INDEXES = "select indexrelid::regclass::text from pg_index where not indisvalid"


@attrs.frozen(order=True)
class Lock:
    """The strongest lock that a migration holds on a table."""

    table: str
    mode: str
    rewritten: bool

    @property
    def waits(self) -> str:
        """Who waits meanwhile."""
        return WAITS[self.mode]

    @property
    def sql_mode(self) -> str:
        """Its name in SQL and in the manual: ACCESS EXCLUSIVE."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.mode.removesuffix("Lock")).upper()


@attrs.frozen
class Schema:
    """What is there before and after a statement."""

    tables: dict[str, int]
    indexes: dict[int, str]
    foreign_keys: dict[int, str | None]
    not_null: dict[str, tuple[bool, bool]]

    @classmethod
    def read(cls, connection: psycopg.Connection[Any]) -> "Schema":
        """Read the catalogue."""
        tables, indexes, foreign_keys = (
            dict(connection.execute(query).fetchall()) for query in (TABLES, INDEXES, FOREIGN_KEYS)
        )
        not_null = {name: (surely, believed) for name, surely, believed in connection.execute(NOT_NULL)}
        return cls(tables, indexes, foreign_keys, not_null)


@attrs.define
class Migration:
    """A migration, and what it locks; `locks` is None where it is not one transaction, and none can be read."""

    name: str
    locks: list[Lock] | None
    findings: list[Finding]


def review_migrations(connection: psycopg.Connection[Any], directory: Path) -> Iterator[Migration]:
    """Apply the migrations one after the other to an empty database, and tell of each as it is done.

    Raises MigrationError.
    """
    for each in load_migrations(directory):
        path = Path(each.path)
        try:
            yield _Review(connection, path).run(transactional=each.use_transactions)
        except psycopg.Error as error:
            sentence = advised(error.diag.message_primary or str(error))
            raise MigrationError(f"{directory.name}/{path.name}: {sentence}") from error


class _Review:
    """One migration under review."""

    def __init__(self, connection: psycopg.Connection[Any], path: Path) -> None:
        self._connection = connection
        self._path = path
        self._text = path.read_text("utf-8")
        self._accepted = bool(ACCEPTED.search(self._text))
        self._before = self._tables()
        self._bare = self._names(BARE_FOREIGN_KEYS)
        self._findings: list[Finding] = []

    def run(self, *, transactional: bool) -> Migration:
        statements = read_sql_migration(str(self._path))[2]
        locks = None
        if transactional:
            with self._connection.transaction():
                self._execute(statements)
                locks = self._locks()
        else:
            self._execute(statements)
        for name, table in sorted(self._names(BARE_FOREIGN_KEYS) - self._bare):
            sentence = f"no index of {table} begins with the columns of {name}: each delete over there reads all of it"
            self._find("foreign-key-index", self._line_of(name), sentence)
        for (name,) in self._connection.execute(INVALID_INDEXES).fetchall():
            sentence = f"{name} is invalid: drop it (concurrently), and create it again"
            self._find("invalid-index", self._line_of(name), sentence)
        return Migration(self._path.stem, locks, self._findings)

    def _execute(self, statements: list[str]) -> None:
        before = Schema.read(self._connection)
        for statement in statements:
            self._connection.execute(statement)  # a file of migrations/, as it is
            if self._before and not self._accepted:
                after = Schema.read(self._connection)
                for check, sentence in self._compare(before, after, statement):
                    self._find(check, self._line(statement), sentence)
                before = after

    def _compare(self, before: Schema, after: Schema, statement: str) -> Iterator[tuple[str, str]]:
        """Judge by what has become of the schema: so, too, what a DO block or a constraint has made is seen."""
        there = before.tables.keys() & after.tables.keys() & self._before.keys()
        rewritten = {table for table in there if before.tables[table] != after.tables[table]}
        for table in sorted(rewritten):
            sentence = f"{table} is rewritten, and nobody can read it meanwhile: expand, fill, contract instead"
            yield "rewrite", sentence
        for index in sorted(after.indexes.keys() - before.indexes.keys()):
            if (table := after.indexes[index]) in there - rewritten and not CONCURRENTLY.search(statement):
                sentence = f"the index of {table}, which exists, is made without CONCURRENTLY: writers wait"
                yield "index-not-concurrent", sentence
        for key in sorted(after.foreign_keys.keys() - before.foreign_keys.keys()):
            if (owner := after.foreign_keys[key]) in self._before:
                sentence = f"the foreign key of {owner}, which exists, is made without NOT VALID: writers of both wait"
                yield "foreign-key", sentence
        for column in sorted(before.not_null.keys() & after.not_null.keys()):
            known = column.partition(".")[0] in self._before and not before.not_null[column][1]
            if known and after.not_null[column][0]:
                sentence = f"{column} becomes NOT NULL without a validated check: all rows are read"
                yield "not-null", sentence

    def _find(self, check: str, line: int, sentence: str) -> None:
        self._findings.append(Finding(f"{self._path.parent.name}/{self._path.name}", line, sentence, check))

    def _line(self, statement: str) -> int:
        begin = behind_comments(self._text, self._text.index(statement))
        return self._text.count("\n", 0, begin) + 1

    def _line_of(self, name: str) -> int:
        before, found, _ = self._text.partition(name.rpartition(".")[2])
        return before.count("\n") + 1 if found else 1

    def _tables(self) -> dict[str, int]:
        return dict(self._connection.execute(TABLES).fetchall())

    def _names(self, query: str) -> set[tuple[str, str]]:
        return set(self._connection.execute(query).fetchall())

    def _locks(self) -> list[Lock]:
        after = self._tables()
        strongest: dict[str, str] = {}
        for table, mode in self._connection.execute(LOCKS).fetchall():
            if table in self._before:
                strongest[table] = max(mode, strongest.get(table, mode), key=list(WAITS).index)
        return sorted(
            Lock(table, mode, table in after and after[table] != self._before[table])
            for table, mode in strongest.items()
            if WAITS[mode]
        )
