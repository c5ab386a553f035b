"""Rollbacks: each is run after its migration, and must restore the catalogue."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psycopg
from yoyo.migrations import Migration, read_sql_migration  # type: ignore[import-untyped]  # yoyo ships no types

from service.migrate import MigrationError, load_migrations, locate
from service.sqlcheck.findings import Finding, from_error
from service.sqlcheck.migrations.migration_files import MigrationFiles, Place
from service.sqlcheck.migrations.snapshot import Snapshot, read_snapshot
from service.sqlcheck.scratch import connect, scratch_database

MAX_SHOWN = 3  # objects in the finding about one rollback


def check_rollbacks(directory: Path, server: str) -> Iterator[Finding]:
    """Apply each migration and try its rollback, on a scratch database on `server`.

    Raises MigrationError if a migration fails.
    """
    files = MigrationFiles(directory)
    with scratch_database(server) as url, connect(url) as connection:
        for migration in load_migrations(directory):
            name = Path(migration.path).stem
            place = Place(f"{directory.name}/{name}.rollback.sql", 1)
            before = read_snapshot(connection)
            with connection.transaction() if migration.use_transactions else nullcontext():
                _run(connection, Path(migration.path))
            try:
                sentence = _differences(before, _rolled_back(connection, migration))
                if not migration.use_transactions and not sentence:
                    _run(connection, Path(migration.path))
            except MigrationError as error:
                failed = from_error("rollback", error, directory)
                place, sentence = Place(failed.path, failed.line), failed.sentence
            if sentence:
                yield from files.find("rollback", "migration", name, sentence, place)
                if not migration.use_transactions:
                    return  # the schema is unknown for the later ones


def _rolled_back(connection: psycopg.Connection[Any], migration: Migration) -> Snapshot:
    """Return the catalogue after the rollback; if that is a transaction, the migration remains applied."""
    with connection.transaction(force_rollback=True) if migration.use_transactions else nullcontext():
        _run(connection, Path(migration.path).with_suffix(".rollback.sql"))
        return read_snapshot(connection)


def _run(connection: psycopg.Connection[Any], path: Path) -> None:
    for statement in read_sql_migration(str(path))[2]:
        try:
            connection.execute(statement)  # the text of a file
        except psycopg.Error as error:
            where = locate(path, statement, int(error.diag.statement_position or 1) - 1)
            raise MigrationError(f"{where}: PostgreSQL says: {error.diag.message_primary}") from error


def _differences(before: Snapshot, after: Snapshot) -> str:
    """Return the differences as a sentence; an empty string if there are none."""
    changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    words = [f"{' '.join(key)} {_change(before.get(key), after.get(key))}" for key in changed[:MAX_SHOWN]]
    more = [f"and {len(changed) - MAX_SHOWN} more"] if len(changed) > MAX_SHOWN else []
    return f"the schema is not what it was before the migration: {', '.join(words + more)}" if changed else ""


def _change(before: object, after: object) -> str:
    return "is changed" if before and after else "stays" if after else "is missing"
