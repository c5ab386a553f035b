"""One DATABASE_URL serves asyncpg and libpq."""

import asyncio

import asyncpg
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from service.postgres.libpq import psycopg_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p%40%3F@h/db", {"user": "u", "password": "p@?", "host": "h", "dbname": "db"}),
        (
            "postgresql://h1:5432,h2:5433/db",
            {"host": "h1,h2", "port": "5432,5433", "dbname": "db", "target_session_attrs": "primary"},
        ),
        (
            "postgresql://[::1]:5432,[::2]/db",
            {"host": "::1,::2", "port": "5432,", "dbname": "db", "target_session_attrs": "primary"},
        ),
        ("postgresql://h/db?sslmode=verify-full", {"host": "h", "dbname": "db", "sslmode": "verify-full"}),
        (
            "postgresql://h1,h2/db?target_session_attrs=primary",
            {"host": "h1,h2", "port": ",", "dbname": "db", "target_session_attrs": "primary"},
        ),
        ("postgresql:///db?host=/run/a%20b&port=6432", {"host": "/run/a b", "port": "6432", "dbname": "db"}),
        ("postgresql://h?database=db&user=u", {"host": "h", "dbname": "db", "user": "u"}),
        ("postgresql://h?connect_timeout=30", {"host": "h", "connect_timeout": "30"}),
        ("postgresql://h?statement_timeout=5000&jit=", {"host": "h", "options": "-c statement_timeout=5000 -c jit="}),
        ("postgresql://h?jit=off&options=-c%20a=b", {"host": "h", "options": "-c a=b -c jit=off"}),
        ("postgresql://h?search_path=a,%20b+c%5C", {"host": "h", "options": r"-c search_path=a,\ b\ c\\"}),
    ],
)
def test_each_part_of_the_url_reaches_libpq(url: str, expected: dict[str, str]) -> None:
    assert conninfo_to_dict(psycopg_url(url)) == {"connect_timeout": "5"} | expected


def test_asyncpg_and_psycopg_get_the_same_session(empty_database_url: str) -> None:
    url = f"{empty_database_url}&statement_timeout=5000&application_name=two+words&search_path=%22a%20b%22,%20public"
    settings = (
        "select current_setting('statement_timeout'), current_setting('application_name'), current_schemas(false)"
    )

    async def through_asyncpg() -> tuple[object, ...]:
        connection = await asyncpg.connect(url)
        try:
            return tuple((await connection.fetch(settings))[0])
        finally:
            await connection.close()

    with psycopg.connect(psycopg_url(url)) as connection:
        connection.execute('create schema "a b"')
        connection.commit()
        row = connection.execute(settings).fetchone()

    assert row == ("5s", "two words", ["a b", "public"])
    assert row == asyncio.run(through_asyncpg())


@pytest.mark.parametrize("url", ["mysql://u:secret@h/db", "host=h password=secret", "postgresql://u:%ZZsecret@h/db"])
def test_invalid_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="must look like postgresql://") as refusal:
        psycopg_url(url)

    assert "secret" not in str(refusal.value)
