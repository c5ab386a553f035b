"""A folder of migrations for tests, and queries on its database."""

from pathlib import Path
from typing import Any

import psycopg

from service.migrate.runner import Limits, apply, rollback, status
from tests.support.processes import wait_until

HASTY = Limits(lock_timeout=0.1, attempts=3)
# Connections of migrations to this database.
RUNS = "select from pg_stat_activity where datname = current_database() and application_name = 'service migrate'"


class Folder:
    """A folder of migrations, and the reports about it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.mkdir()
        self.reports: list[str] = []

    def write(self, name: str, sql: str, undo: str = "drop table a;") -> None:
        """Write a migration and its rollback."""
        (self.path / f"{name}.sql").write_text(sql)
        (self.path / f"{name}.rollback.sql").write_text(undo)

    def delete(self, name: str) -> None:
        """Delete both files of a migration."""
        (self.path / f"{name}.sql").unlink()
        (self.path / f"{name}.rollback.sql").unlink()

    def apply(self, url: str, limits: Limits = HASTY) -> list[str]:
        """Apply pending migrations."""
        return apply(url, self.path, report=self.reports.append, limits=limits)

    def rollback(self, url: str) -> list[str]:
        """Roll back the newest migration."""
        return rollback(url, self.path, report=self.reports.append, limits=HASTY)

    def states(self, url: str) -> dict[str, str]:
        """Return the state of each migration."""
        return {each.id: each.state for each in status(url, self.path)}


def value(url: str, sql: str) -> Any:  # noqa: ANN401 - any value
    """Return the single value of a query."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(sql).fetchone()
        assert row is not None
        return row[0]


def until(url: str, condition: str) -> None:
    """Wait until `condition` is true in PostgreSQL."""
    wait_until(lambda: value(url, f"select {condition}"), condition)
