"""Accounts with many sessions, of which the planner's statistics know nothing yet."""

import pytest

from service.postgres import read_query
from tests.support.factories import Committed, log_in

MANY = """
    insert into login_session (user_id, expires_at)
    select $1, now() + interval '1 day' from generate_series(1, 5000)
"""
ACCOUNTS_WITH_FEW = """
    with account as (
        insert into user_model (email, hashed_password)
        select n || '@example.com', 'x' from generate_series(1, 20000) as n
        returning id
    )
    insert into login_session (user_id, expires_at)
    select id, now() + interval '1 day' from account, generate_series(1, 3)
"""
# A plan that compares each session with each other one takes several seconds.
LIMIT = "do $$ begin execute format('alter database %I set statement_timeout = ''1s''', current_database()); end $$"


async def test_sessions_unknown_to_the_planner_are_found_quickly(committed: Committed) -> None:
    connection, client = committed.connection, committed.client
    user, *_ = [await committed.make.user() for _ in range(20)]
    await connection.execute("alter table login_session set (autovacuum_enabled = off)")
    await connection.execute("analyze login_session")
    await connection.execute(MANY, user.id)
    await connection.execute(LIMIT)

    listed = await client.get("/auth/sessions", headers=user.bearer)
    await connection.execute(MANY, user.id)
    await log_in(client, user.email)
    ended_by_log_in = await connection.fetchval("select count(*) from login_session where ended_at is not null")
    ended = await client.delete("/auth/sessions", headers=user.bearer)

    assert (listed.status_code, ended_by_log_in, ended.status_code) == (200, 1900, 204)
    assert await connection.fetchval("select count(*) from live_session where user_id = $1", user.id) == 1


@pytest.mark.slow
async def test_sessions_are_found_by_the_whole_key(committed: Committed) -> None:
    """Each session would be compared with each given one: for seconds if the account has 200,000."""
    connection = committed.connection
    await connection.execute(ACCOUNTS_WITH_FEW)
    await connection.execute("analyze; set plan_cache_mode = force_generic_plan")
    found = []

    for name in ("end_my_other_sessions", "end_oldest_sessions", "list_my_sessions"):
        query = read_query(f"auth.{name}")
        await connection.execute(f"prepare {name} as {query.sql}")
        nulls = ", ".join(["null"] * len(query.parameters))
        found += [line.strip() for (line,) in await connection.fetch(f"explain execute {name}({nulls})")]

    conditions = [line for line in found if "(id = ANY (" in line]
    assert len(conditions) == 5
    assert [line for line in conditions if not line.startswith("Index Cond: ((user_id = ")] == []
