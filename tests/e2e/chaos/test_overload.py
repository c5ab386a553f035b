"""More load than PostgreSQL can take, competing writers, and clients that disconnect."""

import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg

from service.timeouts import DATABASE_TIMEOUTS
from tests.support.figures import Clients, Table
from tests.support.postgres import Postgres
from tests.support.processes import Running, Serve, wait_until
from tests.support.resources import Resource

WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
Template = tuple[Path, list[str]]
# live_session as in the migration, and as slow as a slow statement for users in the table `slow`.
SLOW = """
    create table slow as select id as session_id from login_session order by created_at limit 16;
    create or replace view live_session as
        select s.id as session_id, s.user_id from login_session as s
        where s.ended_at is null and s.expires_at > now()
        and (not exists (select from slow where slow.session_id = s.id) or pg_sleep(1.5) is not null)
"""


def bearer(token: str) -> dict[str, str]:
    """Return the header that authenticates a caller."""
    return {"Authorization": f"Bearer {token}"}


def test_exhausted_pool_refuses_within_a_second(
    postgres: Postgres, serve: Serve, clients: Clients, table: Table, resource: Resource
) -> None:
    served = serve(postgres.url)
    waits: dict[str, list[float]] = {"/health/live": [], resource.list: [], "/nowhere": []}
    statuses: Counter[int] = Counter()
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(SLOW)
    with clients(served, postgres, 64) as load:
        time.sleep(1)
        began = time.monotonic()
        while time.monotonic() < began + 4:
            for path, took in waits.items():
                asked = time.perf_counter()
                statuses[served.status(path)] += 1
                took.append(time.perf_counter() - asked)
            time.sleep(0.02)
    refused = [request for request in load.outcome.requests if request.status == 503]
    slowest = max(request.took for request in refused)
    others = {path: sorted(took)[int(len(took) * 0.9)] * 1000 for path, took in waits.items()}
    figure = ", ".join(f"{path} {took:.0f} ms" for path, took in others.items())

    table.note("pool exhausted by slow queries", load.outcome, f"p90: {figure}")
    load.outcome.check()
    assert slowest < 1
    assert set(statuses) == {200, 401, 404}
    assert (
        max(others.values()) < DATABASE_TIMEOUTS.acquire * 1000 / 2
    )  # on the slowest machine, far below the timeout of a connection


def test_statement_is_cancelled_when_its_client_disconnects(
    postgres: Postgres, serve: Serve, template: Template, table: Table, resource: Resource
) -> None:
    # Either timeout would end it only later.
    served = serve(postgres.url, DATABASE_LOCK_TIMEOUT="0", DATABASE_STATEMENT_TIMEOUT="0")
    head = f"GET {resource.list} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {template[1][0]}\r\n\r\n"
    with psycopg.connect(postgres.url) as rival, psycopg.connect(postgres.url, autocommit=True) as admin:
        rival.execute(f"lock table {resource.table}".encode())

        def number() -> int:
            row = admin.execute(WAITING).fetchone()
            assert row
            return int(row[0])

        patient = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(5)]
        for client in patient:
            client.sendall(head.encode())
        wait_until(lambda: number() == 5, "all wait")

        gone = time.monotonic()
        for client in patient:
            client.close()
        wait_until(lambda: number() == 0, "no request waits", seconds=1)
        ended = time.monotonic() - gone
        rival.rollback()

    table.add_line("5 clients go away", "statements cancelled", f"after {ended:.2f} s")
    assert served.status("/health/ready") == 200
    assert "Exception" not in served.stdout
    assert '"event": "client disconnected"' in served.stdout


def hammer(served: Running, token: str, path: str, bodies: list[dict[str, object]]) -> Counter[int]:
    """Change the same object with each of `bodies`, and count the statuses."""
    with httpx.Client(base_url=served.url, headers=bearer(token), trust_env=False, timeout=20) as client:
        return Counter(client.patch(path, json=body).status_code for body in bodies)


def test_serialization_failures_are_retried(
    postgres: Postgres, serve: Serve, template: Template, table: Table, resource: Resource
) -> None:
    """16 clients change the same row, under an isolation level in which only one can succeed at a time."""
    postgres.ask("alter database postgres set default_transaction_isolation = 'serializable'")
    served = serve(postgres.url)
    token = template[1][0]
    thing = served.client.post(resource.create, json=resource.body("a"), headers=bearer(token)).json()["id"]
    bodies = [resource.body(f"n{number}") for number in range(63)]
    with ThreadPoolExecutor(16) as threads:
        each = [threads.submit(hammer, served, token, resource.one(thing), bodies) for _ in range(16)]
        statuses = sum((one.result() for one in each), Counter())
    failures = postgres.log.count("could not serialize access")
    version = postgres.ask(f"select version from {resource.table} where id = %s", [thing])

    table.add_line("serialization failures", str(dict(statuses)), f"{failures:,} retried unseen")
    assert statuses == {200: 1008}
    assert version == 1 + 1008  # each exactly once
    assert failures > 10


DEADLOCKS = 20
OWNER = "select id from user_model where email = %s"
OPEN_SESSION = "insert into login_session (id, user_id, expires_at) values (%s, %s, now() + '1 day')"
# Waits until the other transaction waits for it, then waits for that one too. The server itself checks, because a slow
# test would see it only after the single deadlock check (below).
CROSS = """
    do $$ begin
        while not exists (select from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))) loop
            perform pg_sleep(0.01);
        end loop;
        perform from user_model where id = '{}' for update;
    end $$
"""


def test_deadlocks_are_retried(postgres: Postgres, serve: Serve, template: Template, table: Table) -> None:
    """Rivals lock two rows that a statement needs, in the other order; PostgreSQL cancels the statement.

    A waiting process checks for a cycle once, after deadlock_timeout, which DATABASE_LOCK_TIMEOUT must exceed.
    """
    assert postgres.ask("show deadlock_timeout") == "1s"  # PostgreSQL's default
    served = serve(postgres.url, DATABASE_POOL_SIZE=str(DEADLOCKS))

    def meet(number: int) -> int:
        session, token = uuid4(), template[1][number]
        with psycopg.connect(postgres.url) as rival, ThreadPoolExecutor() as threads:
            account = rival.execute(OWNER, [f"user{number + 1}@example.com"]).fetchone()
            assert account
            rival.execute(OPEN_SESSION, [session, *account])
            rival.commit()
            rival.execute("set deadlock_timeout = '10s'")
            rival.execute("select from login_session where id = %s for update", [session])
            status = threads.submit(reset, served, token, number)
            rival.execute(CROSS.format(*account))
            rival.commit()
            return status.result()

    with ThreadPoolExecutor(5) as threads:  # more would block each other for too long
        statuses = Counter(threads.map(meet, range(DEADLOCKS)))
    deadlocks = postgres.log.count("deadlock detected")

    table.add_line("deadlocks", str(dict(statuses)), f"{deadlocks} retried unseen")
    assert statuses == {200: DEADLOCKS}
    assert deadlocks == DEADLOCKS


def reset(served: Running, token: str, number: int) -> int:
    """Change a password, which ends the other sessions; return the status."""
    body = {"password": f"another password {number}"}
    url = f"{served.url}/users/reset-password"
    return httpx.post(url, json=body, headers=bearer(token), trust_env=False, timeout=20).status_code
