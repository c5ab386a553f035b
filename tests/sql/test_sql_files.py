"""Each file of sql/ as DBAs see it: in psql, in pg_stat_activity, and in the code that loads it."""

import asyncio
from subprocess import run

import psycopg
import pytest

from service.embedded import EmbeddedPostgres
from service.postgres.query_file import query_names, read_query
from service.users.controllers import LOCK_ACCOUNT
from tests.support.factories import Committed
from tests.support.locks import blocked_statements
from tests.support.statements import values_for

NAMES = query_names()


@pytest.mark.parametrize("name", NAMES)
def test_psql_runs_the_file_unchanged(name: str, server: EmbeddedPostgres, database_url: str) -> None:
    """In a transaction that is rolled back when psql ends."""
    statement = read_query(name)
    with psycopg.connect(database_url) as connection:
        values = [f"'{value}'" for value in values_for(statement, connection)]
    bind = f"\\bind {' '.join(values)}"

    psql = [str(server.binaries / "psql"), "--no-psqlrc", "--set=ON_ERROR_STOP=1", database_url]
    # A text search notes that it ignores words such as `a`. No row has the values of foreign keys.
    begin = "begin; set local client_min_messages = warning; set local session_replication_role = replica"
    done = run([*psql, "-c", begin, "-c", bind, "-f", str(statement.path)], capture_output=True, text=True, check=False)

    advice = f"{done.stderr}If it refuses a value, give another in PARAMETERS of tests/support/api.py"
    assert (done.returncode, done.stderr) == (0, ""), advice


@pytest.mark.parametrize("name", NAMES)
def test_file_is_sent_byte_for_byte(name: str) -> None:
    statement = read_query(name)

    assert statement.sql.encode() == statement.path.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_plan_costs_too_little_to_be_compiled(name: str, database_url: str) -> None:
    """A PostgreSQL with LLVM compiles dearer ones at each run (jit_above_cost), for up to half a second."""
    with psycopg.connect(database_url) as connection:
        plan = connection.execute(f"explain (generic_plan, format json) {read_query(name).sql}".encode()).fetchone()

    assert plan
    assert plan[0][0]["Plan"]["Total Cost"] < 100_000


async def test_running_statement_shows_its_name(committed: Committed) -> None:
    """In pg_stat_activity, for example while it waits for a lock."""
    user = await committed.make.user()
    async with committed.connection.transaction():
        await committed.connection.execute("select from user_model for update")
        waiting = asyncio.create_task(committed.client.delete("/users/me", headers=user.bearer))
        [statement] = await blocked_statements(committed.connection, 1)

    assert (await waiting).status_code == 204
    assert statement == LOCK_ACCOUNT.sql[:1023]
    assert "/* users.lock_account */" in statement
