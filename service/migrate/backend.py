"""yoyo's PostgreSQL backend: applies a migration, and records it and its checksum, in one transaction."""

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
from service.migrate.lint import locate
from service.postgres import psycopg_conninfo

Direction = Literal["apply", "rollback"]

# Seconds for a pooler to assign a server process to another connection.
POOLER_TIMEOUT = 3.0
# How many times the processes of two connections are compared: one comparison can miss a pooler that others also use.
POOLER_COMPARISONS = 30
LOCK_KEY = 0x6D696772  # "migr" in ASCII

SET_TIMEOUTS = """
    select set_config('lock_timeout', %s, false),
           set_config('statement_timeout', %s, false),
           -- After this, PostgreSQL cancels the statement of a run that was killed.
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
    comment on table migration_checksum is 'Checksums of the applied migration files, which reveal edited ones.';
    comment on column migration_checksum.migration_id is 'Name of the file without .sql, as in _yoyo_migration.';
    comment on column migration_checksum.sha256 is 'SHA-256 of the file with LF line endings, as sha256sum prints it.';
    comment on table _yoyo_migration is 'Applied migrations (kept by yoyo).';
    comment on table _yoyo_log is 'Log of applied and rolled-back migrations: who, when and from where (kept by yoyo).';
    comment on table _yoyo_version is 'Version of yoyo''s own tables (kept by yoyo).'
"""
# Default privileges can let the role of the service write to the tables of yoyo.
REVOKE_WRITES = """
    do $$
    declare
        granted record;
    begin
        for granted in
            select pg_class.oid::regclass as relation, acl.grantee::regrole as role
            from pg_class cross join aclexplode(relacl) as acl
            where relname in ('_yoyo_log', '_yoyo_migration', '_yoyo_version', 'yoyo_lock', 'migration_checksum')
              and relnamespace = current_schema()::regnamespace
              and acl.grantee not in (0, relowner) and acl.privilege_type = 'INSERT'
        loop
            execute format('revoke insert, update, delete, truncate on %s from %s', granted.relation, granted.role);
        end loop;
    end $$
"""
INVALID_INDEXES = """
    select relname from pg_index join pg_class on pg_class.oid = indexrelid
    where not indisvalid and relkind = 'i' and relname = any(%s)
"""


@attrs.frozen
class Applied:
    """When a migration was applied, and the checksum of its file then, or None if checksums were not recorded yet."""

    at: datetime
    checksum: str | None


class _Cursor(psycopg.Cursor[Any]):
    """Adds the statement to an error as a note, because PostgreSQL reports only a position in it."""

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Self:  # type: ignore[explicit-override]  # noqa: ANN401 - psycopg's signature
        try:
            return super().execute(query, *args, **kwargs)
        except psycopg.Error as error:
            error.add_note(query)
            raise


class Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo ships no types
    """yoyo's backend on one connection, which also holds the lock of the run."""

    def __init__(self, url: str) -> None:
        """Connect. Raises ValueError for an invalid URL, and psycopg.Error unless the server is writable."""
        self._conninfo = psycopg_conninfo(url)
        keys = {
            "conninfo": self._conninfo,
            "target_session_attrs": "read-write",
            "fallback_application_name": "service migrate",
            "cursor_factory": _Cursor,
            # psycopg prepares a repeated statement, and a transaction pooler would run it on another server process.
            "prepare_threshold": None,
        }
        super().__init__(DatabaseURI("postgresql+psycopg", None, None, None, None, None, keys), default_migration_table)

    def require_utf8(self) -> None:
        """Raise MigrationError unless the encoding of the database is UTF8."""
        encoding = self.connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise MigrationError(
                f"the encoding of the database is {encoding}, and the service needs UTF8: "
                "create the database with encoding 'UTF8' template template0"
            )

    def reject_transaction_pooler(self) -> None:
        """Raise MigrationError if a pooler can give the lock of this run to other clients."""
        # Only a pooler reports an id other than that of the server process. In session mode, it is harmless.
        if self._backend_pid() != self.connection.info.backend_pid and asyncio.run(self._shares_process()):
            raise MigrationError(
                "DATABASE_URL leads through a transaction pooler, which would give the lock of this run to other "
                "clients: use a URL that connects to PostgreSQL directly"
            )

    async def _shares_process(self) -> bool:
        """Return whether another connection gets the server process of this one, or makes this one switch its own."""
        with contextlib.suppress(TimeoutError):  # a pooler in session mode has no free process
            async with asyncio.timeout(POOLER_TIMEOUT):
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True, prepare_threshold=None
                ) as other:
                    for _ in range(POOLER_COMPARISONS):
                        before = self._backend_pid()
                        row = await (await other.execute("select pg_backend_pid()")).fetchone()
                        if row == (before,) or self._backend_pid() != before:
                            return True
        return False

    def _backend_pid(self) -> int:
        """Return the id of the current server process."""
        pid: int = self.connection.execute("select pg_backend_pid()").fetchone()[0]
        return pid

    def set_timeouts(self, lock_timeout: float, statement_timeout: float) -> None:
        """Set the timeouts, in seconds, after resetting all parameters that an earlier migration has SET."""
        self.connection.execute("reset all")
        self.connection.execute(SET_TIMEOUTS, [f"{lock_timeout}s", f"{statement_timeout}s"])

    def try_lock(self) -> int | None:
        """Acquire the lock and return None, or return the process id of its holder (0 if that has just ended)."""
        free, holder = self.connection.execute(TRY_LOCK, {"key": LOCK_KEY}).fetchone()
        return None if free else holder or 0

    def unlock(self) -> None:
        """Release the lock, so that the next run can start."""
        self.connection.execute("select pg_advisory_unlock(%s)", [LOCK_KEY])

    @contextlib.contextmanager
    def lock(self, timeout: float = 10) -> Iterator[None]:  # noqa: ARG002 - yoyo's signature
        """Do nothing: yoyo's own lock, a row that a killed run leaves behind, is replaced by try_lock()."""
        yield

    def create_tables(self) -> None:
        """Create the tables of yoyo and migration_checksum if they are missing; only their owner can write to them."""
        self.ensure_internal_schema_updated()
        if "migration_checksum" not in self.list_tables():
            self.connection.execute(CREATE_CHECKSUM_TABLE)
            self.connection.execute(REVOKE_WRITES)

    def applied(self) -> dict[str, Applied]:
        """Return the applied migrations by id, in the order in which they were applied."""
        tables = self.list_tables()
        rows, checksums = [], {}
        if self.migration_table in tables:
            rows = self.connection.execute(
                "select migration_id, applied_at_utc from _yoyo_migration order by applied_at_utc"
            ).fetchall()
        if "migration_checksum" in tables:
            checksums = dict(self.connection.execute("select migration_id, sha256 from migration_checksum").fetchall())
        return {name: Applied(at.replace(tzinfo=UTC), checksums.get(name)) for name, at in rows}

    def run(self, migration: Migration, direction: Direction) -> None:
        """Apply or roll back `migration` and record that, in one transaction unless it has `transactional: false`."""
        path = Path(migration.path)
        with self.transaction() if migration.use_transactions else contextlib.nullcontext():
            migration.process_steps(self, direction)
            self.connection.execute("reset search_path")  # pg_dump scripts empty it, and it contains the tables of yoyo
            if not migration.use_transactions:
                self._reject_invalid_indexes(path)
            with self.transaction():
                self.log_migration(migration, direction)
                if direction == "apply":
                    self.mark_one(migration, log=False)
                    self.record_checksum(migration.id, checksum(path))
                else:
                    self.unmark_one(migration, log=False)
                    self.connection.execute("delete from migration_checksum where migration_id = %s", [migration.id])

    def record_checksum(self, migration_id: str, sha256: str) -> None:
        """Record the checksum of a migration file."""
        self.connection.execute("insert into migration_checksum values (%s, %s)", [migration_id, sha256])

    def get_log_data(self, migration: Migration = None, operation: str = "apply") -> dict[str, Any]:
        """Return the row for _yoyo_log.

        yoyo's own method asks DNS for the host name while locks are held, and fails for an operating system user
        without a name.
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

    def _reject_invalid_indexes(self, path: Path) -> None:
        """Raise MigrationError for an invalid index: `create index concurrently if not exists` would keep it."""
        words = re.findall(r"\w+", path.read_text("utf-8"))
        for (name,) in self.connection.execute(INVALID_INDEXES, [words]):
            raise MigrationError(
                f"{locate(path, '')}: index {name} is invalid, left by a failed attempt: "
                f"start the file with 'drop index concurrently if exists {name};'"
            )
