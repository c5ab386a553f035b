"""What DBAs see of the live database with the files of sql/review/."""

import asyncio
import re
from collections.abc import Callable

import asyncpg
import psycopg
import pytest

from service.embedded import EmbeddedPostgres
from service.postgres.query_file import FOR_PSQL, SQL
from tests.support.locks import blocked_statements
from tests.support.review_files import FILES, NEEDS_EXTENSION, review

Review = Callable[[str], list[dict[str, str]]]


@pytest.fixture
def run_file(server: EmbeddedPostgres, own_database_url: str) -> Review:
    """Return a function that runs a file on this test's own database."""
    return lambda name: review(server.binaries / "psql", own_database_url, name)


@pytest.mark.parametrize("name", FILES)
def test_each_file_has_a_purpose_and_its_name(name: str) -> None:
    text = (SQL / FOR_PSQL / f"{name}.sql").read_text()

    assert re.match(r"(-- .+\n)+select /\* review\.(\w+) \*/\n", text)
    assert f"/* {FOR_PSQL}.{name} */" in text


@pytest.mark.parametrize("name", [name for name in FILES if name != NEEDS_EXTENSION])
def test_psql_runs_each_file(name: str, run_file: Review) -> None:
    run_file(name)


def test_every_table_is_shown_with_its_size(run_file: Review) -> None:
    shown = {row["name"]: row["total"] for row in run_file("table_sizes")}

    assert {"user_model", "login_session", "login_throttle", "idempotency_key"} < shown.keys()
    assert re.fullmatch(r"\d+ kB", shown["user_model"])


def test_largest_table_and_index_come_first(run_file: Review, own_database_url: str) -> None:
    """Ordered by bytes, not by the formatted size: 104 kB is more than 16 kB."""
    with psycopg.connect(own_database_url, autocommit=True) as connection:
        for name, rows in (("a_small_one", 1), ("b_large_one", 5000), ("c_middling_one", 1000)):
            connection.execute(f"create table {name} as select generate_series(1, {rows}) as n".encode())
            connection.execute(f"create index {name}_idx on {name} (n)".encode())

    tables = [row["name"] for row in run_file("table_sizes") if row["name"].endswith("_one")]
    indexes = [row["index"] for row in run_file("unused_indexes") if row["on_table"].endswith("_one")]

    assert tables == ["b_large_one", "c_middling_one", "a_small_one"]
    assert indexes == ["b_large_one_idx", "c_middling_one_idx", "a_small_one_idx"]


def test_index_is_unused_until_a_statement_uses_it(run_file: Review, own_database_url: str) -> None:
    before = [row["index"] for row in run_file("unused_indexes")]
    with psycopg.connect(own_database_url) as connection:
        connection.execute("set enable_seqscan = off")
        connection.execute("select from login_session where expires_at < now()")
        connection.execute("select pg_stat_force_next_flush()")  # else the counts can arrive after the connection ends

    after = [row["index"] for row in run_file("unused_indexes")]

    assert set(before) - set(after) == {"login_session_expires_at_idx"}
    assert "user_model_pkey" not in before  # it enforces a constraint


@pytest.mark.parametrize(
    "statement",
    [
        "select /* oauth2.top_10 */ 1",
        "-- oauth2.top_10: PostgreSQL shows the first 1,023 bytes\n"
        + "-- more text\n" * 100
        + "select /* oauth2.top_10 */ 1",
    ],
    ids=["digits", "long header"],
)
def test_any_name_of_a_query_is_shown(run_file: Review, own_database_url: str, statement: str) -> None:
    with psycopg.connect(own_database_url) as connection:
        connection.execute(statement.encode())

        [shown] = run_file("longest_transactions")

    assert shown["name"] == "oauth2.top_10"


def test_oldest_transaction_comes_first_with_its_statement(run_file: Review, own_database_url: str) -> None:
    with psycopg.connect(own_database_url, application_name="old") as old, psycopg.connect(own_database_url) as young:
        old.execute("select /* users.show_me */ 1")
        young.execute("select 2")

        first, second = run_file("longest_transactions")

    assert (first["application"], first["state"], first["name"]) == ("old", "idle in transaction", "users.show_me")
    assert second["statement"] == "select 2"


async def test_waiting_session_is_shown_with_its_blocker(run_file: Review, own_database_url: str) -> None:
    holder, waiter = [await asyncpg.connect(own_database_url) for _ in range(2)]
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("lock table user_model /* users.delete_me */")
    waiting = asyncio.ensure_future(waiter.execute("select /* users.show_me */ from user_model"))
    await blocked_statements(holder, 1)

    [row] = run_file("lock_waits")

    assert (row["pid"], row["blocked_by"]) == (str(waiter.get_server_pid()), str(holder.get_server_pid()))
    assert (row["on_table"], row["wants"], row["name"]) == ("user_model", "AccessShareLock", "users.show_me")
    assert row["which_is"] == "idle in transaction"
    await transaction.rollback()
    await waiting
    for connection in (holder, waiter):
        await connection.close()
