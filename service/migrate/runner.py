"""Applies and rolls back migrations. yoyo reads, sorts, runs and records them; this module makes that safe.

- Only one run at a time. The connection that migrates holds a session-level advisory lock, which PostgreSQL releases
  when the run ends in any way; within a second if it is killed. yoyo's own lock, a row that a killed run leaves behind,
  is not used.
- A migration, its record and the checksum of its file are one transaction, so a kill cannot separate them.
- Each migration runs with a lock timeout and is retried, because all later statements on a table wait behind a
  migration that waits for its lock.
- Transaction poolers are rejected, because they would give the session-level lock to another client.

A migration with `-- transactional: false`, needed for CONCURRENTLY, is not one transaction. It must be safe to repeat
from its first statement: make one change per file, drop the index first, and set a longer lock timeout, because
CONCURRENTLY waits for older transactions (without blocking others):

    -- transactional: false
    set lock_timeout = '10min';
    drop index concurrently if exists pets_pet_name_idx;
    create index concurrently pets_pet_name_idx on pets (pet_name);

If a statement of it fails, yoyo undoes the previous ones with the statements of the rollback file, in reverse order.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

import attrs
import psycopg
from psycopg import errors
from yoyo.migrations import Migration  # type: ignore[import-untyped]  # yoyo ships no types

from service.migrate.backend import Applied, Backend, Direction
from service.migrate.files import MIGRATIONS, MigrationError, checksum, expected_checksums
from service.migrate.lint import load_migrations, locate

Report = Callable[[str], None]


@attrs.frozen
class Limits:
    """Time limits of a run, in seconds, and its number of attempts."""

    lock_timeout: float = 3.0
    """For each lock; also the pause before the next attempt, during which waiting requests proceed."""
    attempts: int = 5
    statement_timeout: float = 900.0
    """For each statement in a transaction: it fails with a message before the platform stops the release, often after
    an hour. Others have no limit: CREATE INDEX CONCURRENTLY blocks nobody, and a timeout would discard its work.
    """
    other_run: float = 1800.0
    """The wait for another run to finish."""


LIMITS = Limits()


@attrs.frozen
class MigrationState:
    """The state of a migration in the database.

    'edited' means that its file has changed since it was applied; 'unknown', that it is applied but not in this code.
    """

    id: str
    state: Literal["applied", "pending", "edited", "unknown"]
    applied_at: datetime | None


def apply(url: str, directory: Path = MIGRATIONS, *, report: Report, limits: Limits = LIMITS) -> list[str]:
    """Apply all pending migrations, and return their ids in order.

    A database that is ahead of the code is left unchanged, because platforms also migrate when they roll back code.
    Raises MigrationError.
    """
    migrations = load_migrations(directory)
    with _exclusive_run(url, limits, report) as backend:
        applied = backend.applied()
        states = _states(applied, directory)
        if edited := _ids(states, "edited"):
            raise MigrationError(
                f"{directory.name}/{edited[0]}.sql was edited after it was applied: restore it, and put the change "
                "into a new migration (or, on your own machine, roll back and apply again)"
            )
        if unknown := _ids(states, "unknown"):
            report(f"the database is ahead of this code by {', '.join(unknown)}; left as it is")
        for name in _ids(states, "applied"):
            if applied[name].checksum is None:
                backend.record_checksum(name, checksum(directory / f"{name}.sql"))
                report(f"{name} was applied before checksums were kept; recorded its file's checksum")
        pending = backend.to_apply(migrations)
        report(f"to apply: {', '.join(each.id for each in pending) or 'nothing'}")
        for migration in pending:
            _run_with_retries(backend, migration, "apply", limits, report)
    return [migration.id for migration in pending]


def rollback(
    url: str, directory: Path = MIGRATIONS, *, count: int = 1, report: Report, limits: Limits = LIMITS
) -> list[str]:
    """Roll back the newest `count` migrations, including edited ones, and return their ids in that order.

    Raises MigrationError if that fails, or if the database is ahead of the code, which then lacks the rollback files.
    """
    migrations = load_migrations(directory)
    with _exclusive_run(url, limits, report) as backend:
        if unknown := _ids(_states(backend.applied(), directory), "unknown"):
            raise MigrationError(
                f"{unknown[-1]} is applied, but not in this code: roll back with a release that contains it"
            )
        undone = backend.to_rollback(migrations)[:count]
        report(f"to roll back: {', '.join(each.id for each in undone) or 'nothing'}")
        for migration in undone:
            _run_with_retries(backend, migration, "rollback", limits, report)
    return [migration.id for migration in undone]


def status(url: str, directory: Path = MIGRATIONS) -> list[MigrationState]:
    """Return the state of each migration; changes nothing. Raises MigrationError."""
    with _connect(url) as backend:
        return _states(backend.applied(), directory)


def _states(applied: Mapping[str, Applied], directory: Path) -> list[MigrationState]:
    expected = expected_checksums(directory)
    states = []
    for name in [*expected, *(name for name in applied if name not in expected)]:
        found = applied.get(name)
        if found is None:
            states.append(MigrationState(name, "pending", None))
        elif name not in expected:
            states.append(MigrationState(name, "unknown", found.at))
        else:
            same = found.checksum in {None, expected[name]}
            states.append(MigrationState(name, "applied" if same else "edited", found.at))
    return states


def _ids(states: list[MigrationState], state: str) -> list[str]:
    return [each.id for each in states if each.state == state]


@contextlib.contextmanager
def _connect(url: str) -> Iterator[Backend]:
    """Connect, and convert errors of PostgreSQL to MigrationError."""
    try:
        backend = Backend(url)
    except ValueError as error:
        raise MigrationError(f"DATABASE_URL {error}") from None
    except psycopg.Error as error:
        raise MigrationError(f"DATABASE_URL leads to no writable PostgreSQL: {_postgres_message(error)}") from error
    with backend:
        try:
            backend.require_utf8()
            yield backend
        except psycopg.Error as error:
            raise MigrationError(f"PostgreSQL says: {_postgres_message(error)}") from error


@contextlib.contextmanager
def _exclusive_run(url: str, limits: Limits, report: Report) -> Iterator[Backend]:
    """Connect and hold the advisory lock, so that this is the only run."""
    with _connect(url) as backend:
        backend.reject_transaction_pooler()
        backend.set_timeouts(limits.lock_timeout, limits.statement_timeout)
        deadline = time.monotonic() + limits.other_run
        reported = False
        # A waiting statement would block CREATE INDEX CONCURRENTLY in the other run, so poll instead.
        while (holder := backend.try_lock()) is not None:
            if time.monotonic() > deadline:
                raise MigrationError(
                    f"another migration did not end within {limits.other_run:g} s: look at PostgreSQL process {holder} "
                    f"in pg_stat_activity; select pg_terminate_backend({holder}) ends it"
                )
            if not reported:
                report(f"another migration is running (PostgreSQL process {holder}); waiting")
            reported = True
            time.sleep(0.2)
        try:
            backend.create_tables()
            yield backend
        finally:
            with contextlib.suppress(psycopg.Error):  # a lost connection has already released the lock
                backend.unlock()


def _run_with_retries(
    backend: Backend, migration: Migration, direction: Direction, limits: Limits, report: Report
) -> None:
    """Apply or roll back `migration`; retry if it cannot get a lock."""
    statement_timeout = limits.statement_timeout if migration.use_transactions else 0  # 0: none
    attempt = 1
    while True:
        started = time.monotonic()
        try:
            backend.set_timeouts(limits.lock_timeout, statement_timeout)
            backend.run(migration, direction)
            break
        except psycopg.Error as error:
            busy = isinstance(error, errors.LockNotAvailable | errors.DeadlockDetected)
            if not busy or attempt == limits.attempts:
                raise MigrationError(_error_message(error, migration, direction, busy=busy)) from error
            report(
                f"{migration.id}: {_postgres_message(error)}; "
                f"attempt {attempt} of {limits.attempts}, the next in {limits.lock_timeout:g} s"
            )
        attempt += 1
        time.sleep(limits.lock_timeout)
    done = "applied" if direction == "apply" else "rolled back"
    report(f"{done} {migration.id} ({time.monotonic() - started:.2f} s)")


def _error_message(error: psycopg.Error, migration: Migration, direction: Direction, *, busy: bool) -> str:
    """Return PostgreSQL's message, its location in the file, and whether the file has taken effect.

    Omits DETAIL, which can contain a row, and so password hashes.
    """
    while isinstance(error.__context__, psycopg.Error):  # the cause of a failed ROLLBACK
        error = error.__context__
    path = Path(migration.path).with_suffix(".sql" if direction == "apply" else ".rollback.sql")
    statement = getattr(error, "__notes__", [""])[0]
    where = locate(path, statement, int(error.diag.statement_position or 1) - 1)
    effect = "nothing in this file" if migration.use_transactions else "not all of this file"
    advice = "; look in pg_stat_activity for the session that holds the lock, then run this again" if busy else ""
    return f"{where}: {_postgres_message(error)}; {effect} has taken effect{advice}"


def _postgres_message(error: psycopg.Error) -> str:
    primary = " ".join((error.diag.message_primary or str(error)).split())
    return f"{primary} ({error.diag.message_hint})" if error.diag.message_hint else primary
