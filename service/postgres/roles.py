"""The roles of ``sql/roles.sql``: read, and applied to a database."""

from collections.abc import Callable

import psycopg

from service.postgres.libpq import psycopg_conninfo
from service.postgres.queries import SQL


class RolesError(Exception):
    """PostgreSQL refuses the roles; the text says why, and nothing has taken effect."""


def read() -> str:
    """Return the SQL, which psql runs as it is."""
    return (SQL / "roles.sql").read_text(encoding="utf-8")


def apply(url: str, *, report: Callable[[str], None]) -> None:
    """Run the SQL in one transaction; `report` is told what PostgreSQL warns of. Raises RolesError."""
    try:
        with psycopg.connect(psycopg_conninfo(url), application_name="service roles") as connection:
            connection.add_notice_handler(lambda notice: _pass_on(notice, report))
            connection.execute(read())
    except psycopg.Error as error:
        sentence = str(error).splitlines()[0]
        raise RolesError(f"PostgreSQL says: {sentence}; DATABASE_URL must be an administrator's here") from error


def _pass_on(notice: psycopg.errors.Diagnostic, report: Callable[[str], None]) -> None:
    if notice.severity_nonlocalized == "WARNING":
        report(str(notice.message_primary))
