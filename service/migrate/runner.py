"""Migrations: yoyo reads, orders, applies and marks them; this makes it safe.

- One run at a time, by a session-level advisory lock on the very connection that migrates: the lock is free exactly
  when PostgreSQL has finished with that run, however it ended. A killed run is noticed within a second. yoyo's own
  lock, a row that a killed run leaves behind, is not used.
- A migration, its mark and the checksum of its file are one transaction: there is no gap to be killed in.
- Each runs under a lock timeout, and is tried again: while a migration waits for a lock, all later statements on the
  table wait behind it.
- The connection must not lead through a transaction pooler, where a session-level lock goes to another client.

`-- transactional: false`, for CONCURRENTLY, cannot be one transaction. Such a file must stand being run again from its
top: one change a file, dropped first, and a lock timeout of its own, because CONCURRENTLY waits for older
transactions (and blocks nobody meanwhile):

    -- transactional: false
    set lock_timeout = '10min';
    drop index concurrently if exists pets_pet_name_idx;
    create index concurrently pets_pet_name_idx on pets (pet_name);

When a statement of it fails, yoyo undoes those before it by those of the rollback file, the last by the first.
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
from service.migrate.lint import load_migrations, place

__all__ = [
    "MIGRATIONS",
    "Limits",
    "MigrationError",
    "MigrationState",
    "apply",
    "expected_checksums",
    "rollback",
    "status",
]

Report = Callable[[str], None]


@attrs.frozen
class Limits:
    """How long a run may wait and work, in seconds."""

    lock_timeout: float = 3.0
    """For each lock; as long is the pause before the next attempt, in which the traffic flows."""
    attempts: int = 5
    statement_timeout: float = 900.0
    """For each statement. Platforms give a release about an hour; a runaway should end before, and with a message."""
    queue: float = 1800.0
    """For another run to end."""


LIMITS = Limits()


@attrs.frozen
class MigrationState:
    """Where the database stands with one migration.

    'edited': its file has changed since it was applied. 'unknown': it is applied, but not in this code.
    """

    id: str
    state: Literal["applied", "pending", "edited", "unknown"]
    applied_at: datetime | None


def apply(url: str, directory: Path = MIGRATIONS, *, report: Report, limits: Limits = LIMITS) -> list[str]:
    """Apply what is pending, and return the ids in the order in which they were applied.

    A database that is ahead of the code is left alone: a release phase also runs when code is rolled back.
    Raises MigrationError.
    """
    migrations = load_migrations(directory)
    with _only_run(url, limits, report) as backend:
        applied = backend.applied()
        states = _states(applied, directory)
        if edited := _those(states, "edited"):
            raise MigrationError(
                f"{directory.name}/{edited[0]}.sql was edited after it was applied: put the file back and the change "
                "into a new migration (or, on your own machine, roll back and apply again)"
            )
        if unknown := _those(states, "unknown"):
            report(f"the database is ahead of this code by {', '.join(unknown)}; left as it is")
        for name in _those(states, "applied"):
            if applied[name].checksum is None:
                backend.keep_checksum(name, checksum(directory / f"{name}.sql"))
                report(f"{name} was applied before checksums were kept; took that of its file")
        pending = backend.to_apply(migrations)
        report(f"to apply: {', '.join(each.id for each in pending) or 'nothing'}")
        for migration in pending:
            _carry_out(backend, migration, "apply", limits, report)
    return [migration.id for migration in pending]


def rollback(
    url: str, directory: Path = MIGRATIONS, *, count: int = 1, report: Report, limits: Limits = LIMITS
) -> list[str]:
    """Undo the newest `count` migrations, edited ones too, and return their ids in the order in which they were undone.

    Raises MigrationError, also if the database is ahead of the code: its newest migrations cannot be undone here.
    """
    migrations = load_migrations(directory)
    with _only_run(url, limits, report) as backend:
        if unknown := _those(_states(backend.applied(), directory), "unknown"):
            raise MigrationError(f"{unknown[-1]} is applied, but not in this code: roll back with the code that has it")
        undone = backend.to_rollback(migrations)[:count]
        report(f"to roll back: {', '.join(each.id for each in undone) or 'nothing'}")
        for migration in undone:
            _carry_out(backend, migration, "rollback", limits, report)
    return [migration.id for migration in undone]


def status(url: str, directory: Path = MIGRATIONS) -> list[MigrationState]:
    """Return how the database stands with each migration; changes nothing. Raises MigrationError."""
    with _connected(url) as backend:
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


def _those(states: list[MigrationState], state: str) -> list[str]:
    return [each.id for each in states if each.state == state]


@contextlib.contextmanager
def _connected(url: str) -> Iterator[Backend]:
    """Connect, and turn what PostgreSQL refuses into one sentence."""
    try:
        backend = Backend(url)
    except ValueError as error:
        raise MigrationError(f"DATABASE_URL {error}") from None
    except psycopg.Error as error:
        raise MigrationError(
            f"DATABASE_URL leads to no PostgreSQL that can be written to: {_message(error)}"
        ) from error
    with backend:
        try:
            backend.refuse_other_encodings()
            yield backend
        except psycopg.Error as error:
            raise MigrationError(f"PostgreSQL says: {_message(error)}") from error


@contextlib.contextmanager
def _only_run(url: str, limits: Limits, report: Report) -> Iterator[Backend]:
    """Hold the advisory lock. A left-over row in yoyo's own lock table means nothing then, and is ignored."""
    with _connected(url) as backend:
        backend.refuse_transaction_poolers()
        backend.limit(limits.lock_timeout, limits.statement_timeout)
        deadline = time.monotonic() + limits.queue
        told = False
        # Polling, because CREATE INDEX CONCURRENTLY waits for every statement under way, a waiting one too.
        while (holder := backend.try_lock()) is not None:
            if time.monotonic() > deadline:
                raise MigrationError(
                    f"another migration did not end within {limits.queue:g} s: see what PostgreSQL process {holder} "
                    f"does in pg_stat_activity; select pg_terminate_backend({holder}) would end it"
                )
            if not told:
                report(f"another migration is running (PostgreSQL process {holder}); waiting")
            told = True
            time.sleep(0.2)
        try:
            backend.create_tables()
            yield backend
        finally:
            with contextlib.suppress(psycopg.Error):  # a lost connection has lost the lock as well
                backend.unlock()


def _carry_out(backend: Backend, migration: Migration, direction: Direction, limits: Limits, report: Report) -> None:
    """Apply or roll back, in several attempts if others hold the locks."""
    attempt = 1
    while True:
        started = time.monotonic()
        try:
            backend.limit(limits.lock_timeout, limits.statement_timeout)
            backend.carry_out(migration, direction)
            break
        except psycopg.Error as error:
            busy = isinstance(error, errors.LockNotAvailable | errors.DeadlockDetected)
            if not busy or attempt == limits.attempts:
                raise MigrationError(_sentence(error, migration, direction, busy=busy)) from error
            report(
                f"{migration.id}: {_message(error)}; "
                f"attempt {attempt} of {limits.attempts}, the next in {limits.lock_timeout:g} s"
            )
        attempt += 1
        time.sleep(limits.lock_timeout)
    done = "applied" if direction == "apply" else "rolled back"
    report(f"{done} {migration.id} ({time.monotonic() - started:.2f} s)")


def _sentence(error: psycopg.Error, migration: Migration, direction: Direction, *, busy: bool) -> str:
    """Say what PostgreSQL says, where in the file, and what has become of it.

    Without PostgreSQL's DETAIL, which may show a row, and so passwords' hashes.
    """
    while isinstance(error.__context__, psycopg.Error):  # what lost the connection stands behind the failed ROLLBACK
        error = error.__context__
    path = Path(migration.path).with_suffix(".sql" if direction == "apply" else ".rollback.sql")
    statement = getattr(error, "__notes__", [""])[0]
    where = place(path, statement, int(error.diag.statement_position or 1) - 1)
    effect = "nothing of this file" if migration.use_transactions else "not all of this file"
    advice = "; see in pg_stat_activity who holds the lock, and run this again" if busy else ""
    return f"{where}: {_message(error)}; {effect} has taken effect{advice}"


def _message(error: psycopg.Error) -> str:
    primary = " ".join((error.diag.message_primary or str(error)).split())
    return f"{primary} ({error.diag.message_hint})" if error.diag.message_hint else primary
