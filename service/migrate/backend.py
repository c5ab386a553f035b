"""yoyo on PostgreSQL: a migration, its mark and the checksum of its file become one transaction."""

import asyncio
import contextlib
import re
import socket
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import attrs
import psycopg
from yoyo import default_migration_table  # type: ignore[import-untyped]  # yoyo ships no types
from yoyo.backends import PostgresqlPsycopgBackend  # type: ignore[import-untyped]  # the same
from yoyo.connections import DatabaseURI  # type: ignore[import-untyped]  # the same
from yoyo.migrations import Migration  # type: ignore[import-untyped]  # the same

from service.migrate.files import MigrationError, checksum
from service.migrate.lint import place
from service.postgres import psycopg_conninfo

Direction = Literal["apply", "rollback"]

# Seconds for a pooler to give another connection a server process.
POOLER_TIMEOUT = 3.0
LOCK_KEY = 0x6D696772  # "migr" in ASCII

LIMITS = """
    select set_config('lock_timeout', %s, false),
           set_config('statement_timeout', %s, false),
           -- How soon PostgreSQL gives up the statement of a run that was killed.
           set_config('client_connection_check_interval', '1s', false)
"""
TRY_LOCK = """
    select pg_try_advisory_lock(%(key)s), (
        select pid from pg_locks
        where locktype = 'advisory' and classid = 0 and objid = %(key)s and objsubid = 1
          and database = (select oid from pg_database where datname = current_database())
    )
"""
CREATE_CHECKSUM_TABLE = """
    create table migration_checksum (
        migration_id varchar(255) not null,
        sha256       text         not null,
        constraint migration_checksum_pkey primary key (migration_id)
    );
    comment on table migration_checksum is 'Files of the applied migrations, as they were: an edited one is refused.';
    comment on column migration_checksum.migration_id is 'Name of the file without .sql, as in _yoyo_migration.';
    comment on column migration_checksum.sha256 is 'What sha256sum says of the file, its line ends being LF.';
    comment on table _yoyo_migration is 'Migrations that are applied (kept by yoyo).';
    comment on table _yoyo_log is 'Who applied or rolled back what, when and from where (kept by yoyo).';
    comment on table _yoyo_version is 'Versions of the tables of yoyo (kept by yoyo).'
"""
# Default privileges may give the tables of migrations to the role that serves, and the books with them.
CLOSE_BOOKS = """
    do $$
    declare
        reader record;
    begin
        for reader in
            select book.oid::regclass as book, acl.grantee::regrole as role
            from pg_class as book cross join aclexplode(book.relacl) as acl
            where book.relname in ('_yoyo_log', '_yoyo_migration', '_yoyo_version', 'yoyo_lock', 'migration_checksum')
              and book.relnamespace = current_schema()::regnamespace
              and acl.grantee not in (0, book.relowner) and acl.privilege_type = 'INSERT'
        loop
            execute format('revoke insert, update, delete, truncate on %s from %s', reader.book, reader.role);
        end loop;
    end $$
"""
INVALID_INDEXES = """
    select relname from pg_index join pg_class on pg_class.oid = indexrelid
    where not indisvalid and relkind = 'i' and relname = any(%s)
"""


@attrs.frozen
class Applied:
    """When a migration was applied, and the checksum of its file then; None before checksums were kept."""

    at: datetime
    checksum: str | None


class _Cursor(psycopg.Cursor[Any]):
    """Notes the statement on its error, for PostgreSQL tells only the position in it."""

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Self:  # type: ignore[explicit-override]  # noqa: ANN401 - passed on
        try:
            return super().execute(query, *args, **kwargs)
        except psycopg.Error as error:
            error.add_note(query)
            raise


class Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo ships no types
    """yoyo's tables and transactions on one connection, which also holds the lock of the run."""

    def __init__(self, url: str) -> None:
        """Connect. Raises ValueError for an invalid URL, psycopg.Error for a server that cannot be written to."""
        self._conninfo = psycopg_conninfo(url)
        keys = {
            "conninfo": self._conninfo,
            "target_session_attrs": "read-write",
            "fallback_application_name": "service migrate",
            "cursor_factory": _Cursor,
        }
        super().__init__(DatabaseURI("postgresql+psycopg", None, None, None, None, None, keys), default_migration_table)

    def refuse_other_encodings(self) -> None:
        """Raise MigrationError unless the database can hold every text."""
        encoding = self.connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise MigrationError(
                f"the encoding of the database is {encoding}, and the service needs UTF8: "
                "create the database with encoding 'UTF8' template template0"
            )

    def refuse_transaction_poolers(self) -> None:
        """Raise MigrationError if another client can get the server process that holds the lock of this run."""
        # Only a pooler tells its clients another process than the one that answers. In session mode, it does no harm.
        if self._process() != self.connection.info.backend_pid and asyncio.run(self._shares_process()):
            raise MigrationError(
                "DATABASE_URL leads through a transaction pooler, which would give the lock of this run to other "
                "clients: give migrate a URL that leads to PostgreSQL itself"
            )

    async def _shares_process(self) -> bool:
        """Whether another connection gets this one's server process, or makes it get another one."""
        with contextlib.suppress(TimeoutError):  # a pooler in session mode that has no other process to give
            async with asyncio.timeout(POOLER_TIMEOUT):
                for _ in range(3):  # others may use the pooler at the same time
                    before = self._process()
                    async with await psycopg.AsyncConnection.connect(self._conninfo) as other:
                        row = await (await other.execute("select pg_backend_pid()")).fetchone()
                        if row == (before,) or self._process() != before:
                            return True
        return False

    def _process(self) -> int:
        """Return the server process that answers now."""
        pid: int = self.connection.execute("select pg_backend_pid()").fetchone()[0]
        return pid

    def limit(self, lock_timeout: float, statement_timeout: float) -> None:
        """Put the timeouts (in seconds) in force, and undo what an earlier migration has SET."""
        self.connection.execute("reset all")
        self.connection.execute(LIMITS, [f"{lock_timeout}s", f"{statement_timeout}s"])

    def try_lock(self) -> int | None:
        """Take the lock and return None, or return the PostgreSQL process that holds it (0: it ended meanwhile)."""
        free, holder = self.connection.execute(TRY_LOCK, {"key": LOCK_KEY}).fetchone()
        return None if free else holder or 0

    def unlock(self) -> None:
        """Let the next run begin."""
        self.connection.execute("select pg_advisory_unlock(%s)", [LOCK_KEY])

    @contextlib.contextmanager
    def lock(self, timeout: float = 10) -> Iterator[None]:  # noqa: ARG002 - yoyo's signature
        """Do without yoyo's own lock, a row that a killed run leaves behind: ours is held."""
        yield

    def create_tables(self) -> None:
        """Create yoyo's tables and ours if they are missing, writable by their owner alone.

        Provokes no errors to find out.
        """
        self.ensure_internal_schema_updated()
        if "migration_checksum" not in self.list_tables():
            self.connection.execute(CREATE_CHECKSUM_TABLE)
            self.connection.execute(CLOSE_BOOKS)

    def applied(self) -> dict[str, Applied]:
        """Return what is applied, by id, in the order in which it was."""
        tables = self.list_tables()
        marks, checksums = [], {}
        if self.migration_table in tables:
            marks = self.connection.execute(
                "select migration_id, applied_at_utc from _yoyo_migration order by applied_at_utc"
            ).fetchall()
        if "migration_checksum" in tables:
            checksums = dict(self.connection.execute("select migration_id, sha256 from migration_checksum").fetchall())
        return {name: Applied(at.replace(tzinfo=UTC), checksums.get(name)) for name, at in marks}

    def carry_out(self, migration: Migration, direction: Direction) -> None:
        """Apply or roll back, and keep the books, in one transaction unless the file says `transactional: false`."""
        path = Path(migration.path)
        with self.transaction() if migration.use_transactions else contextlib.nullcontext():
            migration.process_steps(self, direction)
            self.connection.execute("reset search_path")  # which scripts of pg_dump empty; the books stand in it
            if not migration.use_transactions:
                self._refuse_invalid_indexes(path)
            with self.transaction():
                self.log_migration(migration, direction)
                if direction == "apply":
                    self.mark_one(migration, log=False)
                    self.keep_checksum(migration.id, checksum(path))
                else:
                    self.unmark_one(migration, log=False)
                    self.connection.execute("delete from migration_checksum where migration_id = %s", [migration.id])

    def keep_checksum(self, migration_id: str, sha256: str) -> None:
        """Remember the file as it is applied."""
        self.connection.execute("insert into migration_checksum values (%s, %s)", [migration_id, sha256])

    def get_log_data(self, migration: Migration = None, operation: str = "apply") -> dict[str, Any]:
        """Return the row for _yoyo_log.

        yoyo's own asks DNS for the host's full name while locks are held, and fails for a user without a name.
        """
        return {
            "id": str(uuid.uuid4()),
            "migration_id": migration.id,
            "migration_hash": migration.hash,
            "operation": operation,
            "username": self.connection.info.user,
            "hostname": socket.gethostname(),
            "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
        }

    def _refuse_invalid_indexes(self, path: Path) -> None:
        """Look behind `create index concurrently if not exists`, which is content with what a failed build left."""
        words = re.findall(r"\w+", path.read_text("utf-8"))
        for (name,) in self.connection.execute(INVALID_INDEXES, [words]):
            raise MigrationError(
                f"{place(path, '')}: index {name} is invalid, left by an attempt that failed: "
                f"begin the file with 'drop index concurrently if exists {name};'"
            )
