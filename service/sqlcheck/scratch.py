"""Databases to try things in: on an embedded PostgreSQL, or beside the one that a URL names; dropped afterwards."""

import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from service.embedded import embedded_postgres
from service.postgres import psycopg_conninfo

# Speed instead of durability, for a server that is thrown away.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
APPLICATION = "service sql"
LEAST_VERSION = 150000
# What PostgreSQL says of what is not installed beside it: the embedded one has no extension but plpgsql and vector.
LACKING = re.compile(r'extension "[^"]+" is not available|ICU is not supported in this build')


@contextmanager
def scratch_database(url: str | None) -> Iterator[str]:
    """Lend the URL of an empty database.

    It is a new one on the server of `url`, whose role may create one, or that of an embedded server of its own.
    Raises psycopg.Error or EmbeddedPostgresError.
    """
    if url is None:
        with (
            tempfile.TemporaryDirectory(prefix="sql-check-") as folder,
            embedded_postgres(Path(folder) / "postgres", SETTINGS) as started,
        ):
            yield started.url("postgres")
        return
    name = f"service_check_{os.getpid()}_{secrets.token_hex(6)}"  # whose it is, should it ever stay
    with connect(url) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        try:
            yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def connect(url: str) -> "psycopg.Connection[tuple[object, ...]]":
    """Connect; each statement is a transaction of its own. Raises ValueError if PostgreSQL is too old."""
    # psycopg would prepare what comes often; EXPLAIN (GENERIC_PLAN) with its `$1` must go as it is.
    connection = psycopg.connect(
        psycopg_conninfo(url), autocommit=True, prepare_threshold=None, application_name=APPLICATION
    )
    if connection.info.server_version < LEAST_VERSION:
        version = connection.info.server_version // 10000
        connection.close()
        raise ValueError(f"leads to PostgreSQL {version}: the checks need {LEAST_VERSION // 10000} or later")
    return connection


def advised(sentence: str) -> str:
    """Say of an extension that PostgreSQL lacks where the checks can have it; return any other sentence as it is."""
    found = LACKING.search(sentence)
    return f"{found[0]}: name a server that has it (--database-url)" if found else sentence
