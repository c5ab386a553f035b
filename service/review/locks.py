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
from pglast import parse_sql
from pglast.enums import AlterTableType, ConstrType
from yoyo.migrations import read_sql_migration  # type: ignore[import-untyped]  # yoyo ships no types

from service.migration_checks import read
from service.migration_files import MigrationError
from service.review.findings import Finding
from service.review.parsed import Node

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
LEADING = re.compile(r"(\s|--[^\n]*(\n|$)|/\*.*?\*/)*", re.DOTALL)

TABLES = """
    select c.relname::text, pg_relation_filenode(c.oid)
    from pg_class as c
    where c.relkind in ('r', 'm') and c.relnamespace = 'public'::regnamespace
"""
LOCKS = """
    select c.relname::text, l.mode
    from pg_locks as l inner join pg_class as c on c.oid = l.relation
    where l.pid = pg_backend_pid() and l.locktype = 'relation' and c.relkind in ('r', 'p', 'm')
        and c.relnamespace = 'public'::regnamespace
"""
NOT_NULL_CHECK = """
    select exists (
        select from pg_constraint
        where conrelid = to_regclass(%s) and contype = 'c' and convalidated
            and pg_get_constraintdef(oid) = format('CHECK ((%%I IS NOT NULL))', %s::text)
    )
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


@attrs.define
class Migration:
    """A migration, and what it locks; `locks` is None where it is not one transaction, and none can be read."""

    name: str
    locks: list[Lock] | None
    findings: list[Finding]


def review(connection: psycopg.Connection[Any], directory: Path) -> Iterator[Migration]:
    """Apply the migrations one after the other to an empty database, and tell of each as it is done.

    Raises MigrationError.
    """
    for each in read(directory):
        path = Path(each.path)
        try:
            yield _Review(connection, path).run(transactional=each.use_transactions)
        except psycopg.Error as error:
            raise MigrationError(f"{directory.name}/{path.name}: {error.diag.message_primary}") from error


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
        files = dict(self._before)
        for statement in statements:
            if not self._accepted:
                for parsed in parse_sql(statement):
                    self._judge(parsed.stmt, statement)
            self._connection.execute(statement)  # a file of migrations/, as it is
            now = self._tables()
            for table in sorted(files.keys() & now.keys()):
                if files[table] != now[table] and not self._accepted:
                    sentence = f"{table} is rewritten, and nobody can read it meanwhile: expand, fill, contract instead"
                    self._find("rewrite", self._line(statement), sentence)
            files = {table: now[table] for table in files.keys() & now.keys()}

    def _judge(self, node: Node, statement: str) -> None:
        kind = type(node).__name__
        if kind == "IndexStmt" and node.relation.relname in self._before and not node.concurrent:
            sentence = f"the index of {node.relation.relname}, which exists, is made without CONCURRENTLY: writers wait"
            self._find("index-not-concurrent", self._line(statement), sentence)
        if kind == "AlterTableStmt" and node.relation.relname in self._before:
            for command in node.cmds:
                self._judge_change(node.relation.relname, command, statement)

    def _judge_change(self, table: str, command: Node, statement: str) -> None:
        if command.subtype == AlterTableType.AT_SetNotNull:
            known = self._connection.execute(NOT_NULL_CHECK, [table, command.name]).fetchone()
            if known == (False,):
                sentence = f"{table}.{command.name} becomes NOT NULL without a validated check: all rows are read"
                self._find("not-null", self._line(statement), sentence)
        constraints = [command.def_] if command.subtype == AlterTableType.AT_AddConstraint else []
        if command.subtype == AlterTableType.AT_AddColumn:
            constraints = list(command.def_.constraints or ())
        for constraint in constraints:
            if constraint.contype == ConstrType.CONSTR_FOREIGN and not constraint.skip_validation:
                sentence = f"the foreign key of {table}, which exists, is made without NOT VALID: writers of both wait"
                self._find("foreign-key", self._line(statement), sentence)

    def _find(self, check: str, line: int, sentence: str) -> None:
        self._findings.append(Finding(f"{self._path.parent.name}/{self._path.name}", line, sentence, check))

    def _line(self, statement: str) -> int:
        leading = LEADING.match(statement)
        begin = self._text.index(statement) + (leading.end() if leading else 0)
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
