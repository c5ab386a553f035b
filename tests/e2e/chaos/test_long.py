"""Many requests: no write of a hundred thousand is lost, and nothing accumulates."""

import os
import random
import signal
import socket
import time
from collections.abc import Callable

import httpx
import psutil  # type: ignore[import-untyped]  # it ships no types
import psycopg

from tests.support.figures import Clients, Table
from tests.support.postgres import Postgres
from tests.support.processes import Serve
from tests.support.resources import Resource

SECONDS = float(os.environ.get("CHAOS_SECONDS", "200"))
# A slow machine takes longer for as many, up to four times the seconds.
WRITES = int(os.environ.get("CHAOS_WRITES", SECONDS * 500))
SOAK = float(os.environ.get("CHAOS_SOAK", "20"))
# So many requests can grow the memory by 5 MB. Fewer requests allow less, but at least a megabyte: Python's allocator
# requests that much at once (an arena) whenever more objects than ever before are alive.
AN_HOURS = 236_000
ARENA = 1.0
END_ALL = (
    "select count(pg_terminate_backend(pid)) from pg_stat_activity where client_port > 0 and pid <> pg_backend_pid()"
)
BAD = [
    b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /LIST HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer forged.%d\r\n\r\n",
    b"POST /CREATE HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{bad%d",
    b"GET / HTTP/1.1\r\nHost: %d.example.com\r\n\r\n",
    b"NONSENSE %d\r\n\r\n",
]


def test_no_acknowledged_write_is_lost(
    postgres: Postgres, serve: Serve, clients: Clients, table: Table, resource: Resource
) -> None:
    """A fault every three seconds until the time is over; then clients and database are compared."""
    served = serve(postgres.url, WEB_CONCURRENCY="2")
    chance = random.Random(7)  # noqa: S311 - the same faults each time
    faults: list[Callable[[], object]] = [
        postgres.kill_one_backend,
        lambda: postgres.ask(END_ALL),
        lambda: restart(postgres, signal.SIGINT),
        lambda: restart(postgres, signal.SIGQUIT),
        lambda: restart(postgres, signal.SIGKILL),
    ]
    began = time.monotonic()
    injected = 0
    with clients(served, postgres, 64, reads=0) as load:
        while injected < len(faults) or time.monotonic() < began + SECONDS * (
            1 if written(postgres, resource) > WRITES else 4
        ):
            time.sleep(3)
            fault = faults[injected] if injected < len(faults) else chance.choice(faults)
            fault()
            injected += 1
        time.sleep(1.5)

    table.note(f"{injected} faults in {time.monotonic() - began:.0f} s", load.outcome)
    assert {201, 503} <= set(load.outcome.statuses) <= {201, 409, 503}
    assert max(request.took for request in load.outcome.requests) < 3
    assert len(load.outcome.acknowledged) >= WRITES
    assert (load.outcome.lost, load.outcome.duplicates) == (0, 0)


def restart(postgres: Postgres, by: signal.Signals) -> None:
    """End PostgreSQL, and start it again."""
    postgres.stop(by)
    postgres.start()


def written(postgres: Postgres, resource: Resource) -> int:
    """Return the number of objects created, or 0 while PostgreSQL is down."""
    try:
        return int(postgres.ask(f"select count(*) from {resource.table}"))
    except psycopg.OperationalError:
        return 0


def send_nonsense(port: int, resource: Resource, number: int) -> None:
    """Send a request of each invalid kind, with variations."""
    for bad in BAD:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            sent = bad.replace(b"/LIST", resource.list.encode()).replace(b"/CREATE", resource.create.encode())
            client.sendall(sent.replace(b"%d", b"%d" % number))
            client.recv(4096)


def test_memory_and_connections_stay_constant(
    postgres: Postgres, serve: Serve, clients: Clients, table: Table, resource: Resource
) -> None:
    served = serve(postgres.url, DATABASE_POOL_SIZE="16")  # one per client, so that no request waits
    process = psutil.Process(served.process.pid)
    number = 0

    def work(seconds: float) -> int:
        nonlocal number
        with clients(served, postgres, 16) as load:
            until_then = time.monotonic() + seconds
            while time.monotonic() < until_then:
                number += 1
                send_nonsense(served.port, resource, number)
        assert set(load.outcome.statuses) == {200, 201}
        return len(load.outcome.requests)

    work(SOAK / 2)  # caches fill
    before = process.memory_info().rss
    files = process.num_fds()
    requests = work(SOAK) + number * len(BAD)
    grown = (process.memory_info().rss - before) / 2**20
    connections = postgres.ask("select count(*) from pg_stat_activity where backend_type = 'client backend'") - 1

    figures = f"memory grew by {grown:.1f} MB from {before / 2**20:.0f}; {connections} connections"
    table.add_line(f"soak of {SOAK:.0f} s, good and bad input", f"{requests:,} requests", figures)
    assert grown < max(ARENA, 5 * requests / AN_HOURS)
    assert connections <= 16 + 1  # readiness has its own
    assert abs(process.num_fds() - files) < 20
    assert httpx.get(f"{served.url}/health/ready", trust_env=False).status_code == 200
