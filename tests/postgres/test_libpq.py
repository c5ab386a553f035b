"""One DATABASE_URL serves asyncpg and libpq."""

import asyncio

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from service.database_url import DatabaseUrl
from service.postgres.failover import MultiHostConnector
from service.postgres.libpq import psycopg_conninfo
from service.timeouts import DATABASE_TIMEOUTS


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p%40%3F@h/db", {"user": "u", "password": "p@?", "host": "h", "port": "5432", "dbname": "db"}),
        ("postgresql://u@[::1]:5432,[::2]/db", {"host": "::1,::2", "port": "5432,5432"}),
        ("postgresql://u@h?database=db", {"dbname": "db"}),
        ("postgresql://u@h?statement_timeout=5000&jit=", {"options": "-c statement_timeout=5000 -c jit="}),
        ("postgresql://u@h?jit=off&options=-c%20a=b", {"options": "-c a=b -c jit=off"}),
        ("postgresql://u@h?search_path=a,%20b%20c%5C", {"options": r"-c search_path=a,\ b\ c\\"}),
    ],
)
def test_each_part_of_the_url_reaches_libpq(url: str, expected: dict[str, str]) -> None:
    assert expected.items() <= conninfo_to_dict(psycopg_conninfo(url)).items()


def test_asyncpg_and_psycopg_get_the_same_session(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{empty_database_url}&statement_timeout=5000&application_name=a+b%20c&search_path=%22a%20b%22,%20public"
    settings = (
        "select current_setting('statement_timeout'), current_setting('application_name'), current_schemas(false),"
        " current_setting('client_encoding')"
    )
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")

    async def through_asyncpg() -> tuple[object, ...]:
        connection, _ = await MultiHostConnector(DatabaseUrl.parse(url), DATABASE_TIMEOUTS).connect()
        try:
            return tuple((await connection.fetch(settings))[0])
        finally:
            await connection.close()

    with psycopg.connect(psycopg_conninfo(url)) as connection:
        connection.execute('create schema "a b"')
        connection.commit()
        row = connection.execute(settings).fetchone()

    assert row == ("5s", "a+b c", ["a b", "public"], "UTF8")
    assert row == asyncio.run(through_asyncpg())
