"""Reads ``sql/roles.sql`` and applies it to a database."""

from collections.abc import Callable

import psycopg

from service.postgres.libpq import psycopg_conninfo
from service.postgres.query_file import SQL
from service.problems import OperatorError


class RolesError(OperatorError):
    """PostgreSQL refused the SQL, and nothing has changed; the message says why."""


def read_sql() -> str:
    """Return the SQL, which can also be run with psql."""
    return (SQL / "roles.sql").read_text(encoding="utf-8")


def apply(url: str, *, report: Callable[[str], None]) -> None:
    """Run the SQL in one transaction, and pass PostgreSQL's warnings to `report`. Raises RolesError."""

    def report_warning(notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            report(str(notice.message_primary))

    try:
        with psycopg.connect(psycopg_conninfo(url), application_name="service roles") as connection:
            connection.add_notice_handler(report_warning)
            connection.execute(read_sql())
    except psycopg.Error as error:
        reason = str(error).splitlines()[0]
        raise RolesError(f"PostgreSQL says: {reason}; this command needs an administrator's DATABASE_URL") from error
