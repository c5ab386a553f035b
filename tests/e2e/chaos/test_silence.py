"""PostgreSQL or the network does not respond, or PostgreSQL responds with an error."""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from service.timeouts import DATABASE_TIMEOUTS
from tests.support.accounts import PASSWORD
from tests.support.clusters import NewPostgres
from tests.support.figures import Clients, Table
from tests.support.postgres import Postgres
from tests.support.processes import Serve, wait_until
from tests.support.proxy import Proxy
from tests.support.resources import Resource


def test_frozen_server_is_503_within_3_s(postgres: Postgres, serve: Serve, clients: Clients, table: Table) -> None:
    served = serve(postgres.url)
    with clients(served, postgres) as load:
        time.sleep(1)
        postgres.freeze()
        time.sleep(8)
        postgres.thaw()
        thawed = time.monotonic()
        time.sleep(2.3)

    table.note("PostgreSQL frozen for 8 s", load.outcome, f"fails for {load.outcome.failing_after(thawed):.2f} s after")
    load.outcome.check()
    assert load.outcome.statuses[503] > 0
    assert load.outcome.failing_after(thawed) < 2


def test_network_black_hole_is_503_within_3_s(postgres: Postgres, serve: Serve, clients: Clients, table: Table) -> None:
    with Proxy(postgres.port) as network:
        served = serve(postgres.url.replace(str(postgres.port), str(network.port)))
        with clients(served, postgres) as load:
            time.sleep(1)
            network.swallow()
            time.sleep(4)
            network.heal()
            healed = time.monotonic()
            time.sleep(2.3)

    table.note(
        "network swallows all for 4 s", load.outcome, f"fails for {load.outcome.failing_after(healed):.2f} s after"
    )
    load.outcome.check()
    assert load.outcome.statuses[503] > 0
    assert load.outcome.failing_after(healed) < 2


WRITES = 12
# PostgreSQL's log entry for each such write.
REFUSED = r"canceling statement due to lock timeout.*\n(?:.*\n)??.* STATEMENT:  -- {}\.create_(?!\w+_once)\w+: "


def test_locked_table_is_503_and_commits_nothing_late(
    postgres: Postgres,
    serve: Serve,
    clients: Clients,
    template: tuple[Path, list[str]],
    table: Table,
    resource: Resource,
) -> None:
    """Writes without a key, which clients do not repeat; all have reached PostgreSQL when they are refused."""
    served = serve(postgres.url, DATABASE_POOL_SIZE="40")
    bearer = {"Authorization": f"Bearer {template[1][0]}"}

    def write(number: int) -> tuple[int, float]:
        sent = time.monotonic()
        response = served.client.post(resource.create, json=resource.body(f"late{number}"), headers=bearer)
        return response.status_code, time.monotonic() - sent

    with psycopg.connect(postgres.url) as rival, clients(served, postgres, 16) as load:
        time.sleep(1)
        rival.execute(f"lock table {resource.table}".encode())
        locked = time.monotonic()
        with ThreadPoolExecutor(WRITES) as threads:
            responses = list(threads.map(write, range(WRITES)))
        time.sleep(max(0, locked + 6 - time.monotonic()))
        rival.rollback()
        free = time.monotonic()
        time.sleep(1.5)

    late = postgres.ask(f"select count(*) from {resource.table} where starts_with({resource.field}, 'late')")
    table.note("a table locked for 6 s", load.outcome, f"fails for {load.outcome.failing_after(free):.2f} s after")
    load.outcome.check()
    assert load.outcome.statuses[503] > 0
    assert load.outcome.failing_after(free) < 1
    assert [status for status, _ in responses] == [503] * WRITES
    assert min(took for _, took in responses) > 1.4  # until DATABASE_LOCK_TIMEOUT
    assert (len(re.findall(REFUSED.format(resource.table), postgres.log)), late) == (WRITES, 0)


def test_log_in_with_slow_statements_is_503(postgres: Postgres, serve: Serve) -> None:
    """The first statement waits for a lock, the second for a server that freezes: it gets the rest of the budget."""
    served = serve(postgres.url)
    waiting = "select count(*) from pg_locks where not granted and relation = %s::regclass"
    form = {"username": "user1@example.com", "password": PASSWORD}

    def log_in() -> tuple[int, str, float]:
        with httpx.Client(base_url=served.url, trust_env=False, timeout=20) as client:
            response = client.post("/auth/access-token", data=form)
        return response.status_code, response.headers.get("retry-after", ""), time.monotonic()

    with (
        psycopg.connect(postgres.url) as first,
        psycopg.connect(postgres.url) as second,
        ThreadPoolExecutor() as threads,
    ):
        first.execute("lock table login_throttle")
        second.execute("lock table login_session in share mode")  # the first statement reads it
        response = threads.submit(log_in)
        wait_until(lambda: postgres.ask(waiting, ["login_throttle"]) == 1, "the first statement waits")
        time.sleep(1.2)
        released = time.monotonic()
        first.rollback()
        wait_until(lambda: postgres.ask(waiting, ["login_session"]) == 1, "the second statement waits")
        postgres.freeze()
        status, retry_after, ended = response.result()
        postgres.thaw()

    assert (status, retry_after) == (503, "1")
    assert ended - released < DATABASE_TIMEOUTS.query
    assert served.status("/health/ready") == 200


INDEXES = "select indexrelid::regclass::text from pg_index where indrelid = %s::regclass"


@pytest.fixture
def small_disk(tmp_path: Path, template: tuple[Path, list[str]]) -> Iterator[Path]:
    """Mount a small disk, owned by the owner of the clusters."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this root may not mount a small disk")
    owner = template[0].stat()
    os.chown(disk, owner.st_uid, owner.st_gid)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)  # noqa: S607 - root's PATH


def test_full_disk_is_503_for_writes_only(
    small_disk: Path, new_postgres: NewPostgres, serve: Serve, clients: Clients, table: Table, resource: Resource
) -> None:
    """The disk of the tables; without room for the write-ahead log, PostgreSQL itself ends."""
    postgres = new_postgres()
    postgres.ask("select 1")
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"create tablespace small location '{small_disk}'")
        admin.execute(f"alter table {resource.table} set tablespace small".encode())
        for (index,) in admin.execute(INDEXES, [resource.table]).fetchall():
            admin.execute(f"alter index {index} set tablespace small".encode())
    served = serve(postgres.url)
    filler = small_disk / "filler"
    with clients(served, postgres, 16) as load:
        time.sleep(1)
        full = time.monotonic()
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65536))
        time.sleep(3)
        filler.unlink()
        room = time.monotonic()
        time.sleep(1.5)
    outcome = load.outcome
    meanwhile = [request for request in outcome.requests if full < request.sent < room]

    table.note("disk full for 3 s", outcome, f"fails for {outcome.failing_after(room):.2f} s after")
    outcome.check()
    assert {request.status for request in meanwhile if request.kind == "write"} == {201, 503}
    assert {request.status for request in meanwhile if request.kind == "read"} == {200}
    assert outcome.failing_after(room) < 1
    assert "PANIC" not in postgres.log
    [refusal] = [line for line in served.stdout.splitlines() if "statement refused" in line]
    assert "No space left on device" in refusal
