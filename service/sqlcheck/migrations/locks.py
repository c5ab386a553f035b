"""`sql locks`: apply each migration to a scratch database, and read the locks that it holds at its end.

Only locks on tables, views and sequences that existed before the migration count. `lock_rules` checks each statement by
the catalogue before and after it; `squawk` reads the files.
"""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import attrs
import psycopg
from psycopg.errors import ActiveSqlTransaction
from psycopg.pq import TransactionStatus
from yoyo.migrations import read_sql_migration  # type: ignore[import-untyped]  # yoyo ships no types

from service.migrate import MigrationError, after_comments, load_migrations
from service.sqlcheck.findings import Finding
from service.sqlcheck.migrations.function_bodies import read_functions
from service.sqlcheck.migrations.lock_rules import check_step
from service.sqlcheck.migrations.lock_state import WAITS, State, held_locks
from service.sqlcheck.migrations.lock_step import Step, hides_statements
from service.sqlcheck.migrations.schema import qualified
from service.sqlcheck.migrations.squawk import squawk
from service.sqlcheck.scratch import connect, scratch_database, with_extension_advice

ACCEPTED = re.compile(r"^-- locks: ok \S", re.MULTILINE)
# Most statements: they change nothing that the rules compare, so the catalogue is not read again.
LOCK_FREE = re.compile(r"(comment\s+on|create\s+(or\s+replace\s+)?function)\b", re.IGNORECASE)
# The timeout that `migrate` sets, and a time zone in which a change to or from `timestamptz` rewrites a table.
SETTINGS = "set lock_timeout = '3s'; set timezone = 'Asia/Tokyo'"
REPORT_SCANS = "set client_min_messages = debug1"  # a migration can change it
# Without the indexes of partitioned tables, which are invalid until each partition has one.
INVALID_INDEXES = """
    select n.nspname::text, c.relname::text
    from pg_index as i
    inner join pg_class as c on c.oid = i.indexrelid
    inner join pg_namespace as n on n.oid = c.relnamespace
    where not i.indisvalid and pg_relation_filenode(c.oid) > 0
"""


@attrs.frozen(order=True)
class Lock:
    """The strongest lock that a migration holds on a table, a view or a sequence."""

    table: str
    mode: str
    rewritten: bool

    @property
    def waits(self) -> str:
        """The sessions that the lock blocks."""
        return WAITS[self.mode]

    @property
    def sql_mode(self) -> str:
        """The name of the mode in SQL: ACCESS EXCLUSIVE."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.mode.removesuffix("Lock")).upper()


@attrs.define
class ReviewedMigration:
    """A migration, its locks and its findings; `locks` is None if it is not a single transaction."""

    name: str
    locks: list[Lock] | None
    findings: list[Finding]


def review_migrations(connection: psycopg.Connection[Any], directory: Path) -> Iterator[ReviewedMigration]:
    """Apply the migrations in order to an empty database, and yield each after it. Raises MigrationError."""
    migrations = load_migrations(directory)
    linted = squawk(directory, {Path(each.path): each.use_transactions for each in migrations})
    notices: list[str] = []
    connection.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary or ""))
    for each in migrations:
        path = Path(each.path)
        try:
            reviewed = _Review(connection, path, notices, transactional=each.use_transactions).run()
        except psycopg.Error as error:
            sentence = with_extension_advice(error.diag.message_primary or str(error))
            line = getattr(error, "__notes__", [""])[0]
            raise MigrationError(f"{directory.name}/{path.name}{line}: {sentence}") from error
        reviewed.findings += linted.get(path.name, [])
        yield reviewed


def check_migrations(directory: Path, server: str) -> list[Finding]:
    """Return the findings about the migrations, using a scratch database on `server`. Raises MigrationError."""
    with scratch_database(server) as url, connect(url) as connection:
        return [finding for each in review_migrations(connection, directory) for finding in each.findings]


class _Review:
    """The review of one migration."""

    def __init__(
        self, connection: psycopg.Connection[Any], path: Path, notices: list[str], *, transactional: bool
    ) -> None:
        self._connection = connection
        self._path = path
        self._notices = notices
        self._transactional = transactional
        self._text = path.read_text("utf-8")
        self._end = 0  # of the previous statement
        self._accepted = bool(ACCEPTED.search(self._text))
        connection.execute(SETTINGS)
        self._before = State.read(connection)
        self._findings: list[Finding] = []

    def run(self) -> ReviewedMigration:
        after, locks = self._before, None
        with self._connection.transaction() if self._transactional else nullcontext():
            for statement in read_sql_migration(str(self._path))[2]:
                after = self._step(statement, after)
            if self._transactional:
                locks = self._locks(after)
        for schema, name in self._connection.execute(INVALID_INDEXES).fetchall():
            before, found, _ = self._text.partition(name)
            sentence = f"{qualified(schema, name)} is invalid: drop it (concurrently), and create it again"
            self._find("invalid-index", before.count("\n") + 1 if found else 1, sentence)
        return ReviewedMigration(self._path.stem, locks, self._findings)

    def _step(self, statement: str, before: State) -> State:
        self._notices.clear()
        try:
            after = self._execute(statement, before)
        except psycopg.Error as error:
            error.add_note(f":{self._line(statement, int(error.diag.statement_position or 1))}")
            raise
        line = self._line(statement)
        if after is not before and self._before.tables and not self._accepted:
            functions = read_functions(self._connection) if hides_statements(statement) else []
            for check, sentence in check_step(Step(statement, before, after, self._before, self._notices, functions)):
                self._find(check, line, sentence)
        return after

    def _execute(self, statement: str, before: State) -> State:
        """Run a statement, and return the state after it."""
        lock_free = LOCK_FREE.match(statement, after_comments(statement))
        self._connection.execute(REPORT_SCANS)
        try:
            with nullcontext() if self._transactional else self._connection.transaction():
                self._connection.execute(statement)
                return before if lock_free else State.read(self._connection)
        except psycopg.ProgrammingError:
            if self._connection.info.transaction_status == TransactionStatus.ACTIVE:
                self._connection.close()  # COPY waits for rows: a rollback would only cause warnings
            raise
        except ActiveSqlTransaction:  # such as CONCURRENTLY, in a migration that is not a transaction
            if self._transactional:
                raise
            self._connection.execute(statement)
            return State.read(self._connection)

    def _find(self, check: str, line: int, sentence: str) -> None:
        self._findings.append(Finding(f"{self._path.parent.name}/{self._path.name}", line, sentence, check))

    def _line(self, statement: str, position: int = 1) -> int:
        """Return the line of a character of the next statement, but not of the comments before it."""
        start = self._text.index(statement, self._end)
        self._end = start + len(statement)
        return self._text.count("\n", 0, max(start + position - 1, after_comments(self._text, start))) + 1

    def _locks(self, after: State) -> list[Lock]:
        held = held_locks(self._connection)
        return sorted(
            Lock(
                table,
                held[oid],
                oid in after.names and self._before.tables[table] != after.tables[after.names[oid]],
            )
            for oid, table in self._before.names.items()
            if WAITS[held.get(oid, "AccessShareLock")]
        )
