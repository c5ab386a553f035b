"""Scratch databases, on an embedded PostgreSQL or on the server of a URL; they are dropped afterwards."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from service.embedded import MISSING_EXTENSION, embedded_postgres
from service.postgres import psycopg_conninfo
from service.problems import OperatorError

# Speed instead of durability: the server is deleted afterwards.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
APPLICATION = "service sql"
MINIMUM_VERSION = 150000


@contextmanager
def scratch_database(url: str | None) -> Iterator[str]:
    """Yield the URL of an empty database: a new one on the server of `url`, or that of a new embedded server.

    Raises psycopg.Error or OperatorError.
    """
    if url is None:
        with (
            tempfile.TemporaryDirectory(prefix="sql-check-") as folder,
            embedded_postgres(Path(folder) / "postgres", SETTINGS) as started,
        ):
            yield started.url("postgres")
        return
    name = f"service_check_{os.getpid()}_{secrets.token_hex(6)}"  # shows who created it, if it is not dropped
    with closing(connect(url)) as connection:
        try:
            connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
            yield f"{url}{'&' if '?' in url else '?'}dbname={name}"  # the last dbname overrides others, and the path
        finally:
            try:
                _drop(url, name)
            except KeyboardInterrupt:  # it may have cancelled the statement
                _drop(url, name)
                raise


def _drop(url: str, name: str) -> None:
    """Drop a database on a new connection: after an interrupt, one can be busy with its last statement."""
    with closing(connect(url)) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def connect(url: str) -> "psycopg.Connection[tuple[object, ...]]":
    """Connect in autocommit mode. Raises OperatorError if the URL is invalid or PostgreSQL too old."""
    try:
        conninfo = psycopg_conninfo(url)
    except ValueError as error:
        raise OperatorError(f"The database's URL {error}") from error
    # Without psycopg's own prepared statements, EXPLAIN (GENERIC_PLAN) is sent with its `$1` unchanged.
    connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None, application_name=APPLICATION)
    if connection.info.server_version < MINIMUM_VERSION:
        version = connection.info.server_version // 10000
        connection.close()
        sentence = f"leads to PostgreSQL {version}: the checks need {MINIMUM_VERSION // 10000} or later"
        raise OperatorError(f"The database's URL {sentence}")
    connection.execute("set quote_all_identifiers = off")  # names in the catalogue are compared as text
    return connection


def with_extension_advice(sentence: str) -> str:
    """Return PostgreSQL's message, with advice if it is about a missing extension."""
    found = MISSING_EXTENSION.search(sentence)
    return f"{found[0]}: name a server that has it (--database-url or SCRATCH_DATABASE_URL)" if found else sentence
