"""Processes of the service end by signal or crash, and accepted requests are answered."""

import json
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from service.timeouts import DATABASE_TIMEOUTS, SHUTDOWN_TIMEOUTS
from tests.support.figures import Clients, Outcome, Table
from tests.support.load import DROPPED, HUNG, REFUSED
from tests.support.postgres import Postgres
from tests.support.processes import Running, Serve, is_alive, wait_until
from tests.support.resources import Resource

RUNS = int(os.environ.get("CHAOS_RUNS", "20"))
STARTED = "Application startup complete."


def watch_readiness(served: Running, seen: list[str]) -> None:
    """Request readiness until the service is gone; record the states ready and draining, in their order.

    Neither is recorded while 64 clients leave no connection for the request.
    """
    with suppress(httpx.TransportError):
        while True:
            response = served.client.get("/health/ready")
            state = "ready" if response.status_code == 200 else response.json()["detail"].partition(":")[0]
            if state in {"ready", "draining"} and state not in seen:
                seen.append(state)
            time.sleep(0.05)


@pytest.mark.parametrize("how", ["1 worker", "2 workers", "2 workers, to all"])
def test_sigterm_drops_no_request(postgres: Postgres, serve: Serve, clients: Clients, table: Table, how: str) -> None:
    """64 clients reconnect at once, which no load balancer would let them do."""
    ends: list[float] = []
    seen = Outcome([], {}, [])
    workers = how[0]
    for _ in range(RUNS):
        served = serve(postgres.url, WEB_CONCURRENCY=workers, DRAIN_SECONDS="1")
        wait_until(lambda served=served: served.stdout.count(STARTED) == int(workers), "all serve")  # type: ignore[misc]
        with clients(served, postgres, 64) as load:
            time.sleep(1)
            states: list[str] = []
            asking = threading.Thread(target=watch_readiness, args=(served, states))
            asking.start()
            wait_until(lambda states=states: states == ["ready"], "it was ready")  # type: ignore[misc]
            began = time.monotonic()
            if "to all" in how:
                os.killpg(served.process.pid, signal.SIGTERM)
            else:
                served.process.send_signal(signal.SIGTERM)
            served.process.wait(30)
            ends.append(time.monotonic() - began)
        asking.join()
        assert states == ["ready", "draining"]
        seen.add(load.outcome)

    figure = f"ended after {min(ends):.1f} to {max(ends):.1f} s"
    table.note(f"SIGTERM, {how}, 64 connections, {RUNS} times", seen, figure)
    assert set(seen.statuses) <= {200, 201, 409, 503, REFUSED}
    assert (seen.lost, seen.duplicates) == (0, 0)
    assert max(ends) < 10


def test_slow_client_or_database_cannot_delay_shutdown(
    postgres: Postgres, serve: Serve, template: tuple[Path, list[str]], checkout: Path, table: Table, resource: Resource
) -> None:
    """An endless body and an unanswered statement. tests/test_settings.py adds up the real limits."""
    deadlines = checkout / "service/timeouts.py"
    text = deadlines.read_text()
    deadlines.write_text(text.replace(f"requests: int = {SHUTDOWN_TIMEOUTS.requests}", "requests: int = 1"))
    assert deadlines.read_text() != text
    served = serve(postgres.url, cwd=checkout)
    address = ("127.0.0.1", served.port)
    head = f"HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {template[1][0]}\r\n"
    with socket.create_connection(address) as sends, socket.create_connection(address) as waits:
        sends.sendall(f"POST {resource.create} {head}Content-Length: 9\r\n\r\n{{".encode())
        postgres.freeze()
        waits.sendall(f"GET {resource.list} {head}\r\n".encode())
        assert served.status("/health/live") == 200  # the earlier requests are in progress
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        served.process.wait(30)
        ended = time.monotonic() - began
        postgres.thaw()

    table.add_line("SIGTERM, nothing comes to its end", "given up after 1 s", f"ended after {ended:.1f} s")
    assert 1 < ended < SHUTDOWN_TIMEOUTS.backlog + 1 + DATABASE_TIMEOUTS.close_all + 1  # one second of its own


def test_rolling_reload_loses_no_request(postgres: Postgres, serve: Serve, clients: Clients, table: Table) -> None:
    served = serve(postgres.url, WEB_CONCURRENCY="2", DRAIN_SECONDS="2")
    wait_until(lambda: served.stdout.count(STARTED) == 2, "all serve")
    before = {process.pid for process in served.process_tree()}
    with clients(served, postgres, 64, pause=0.2) as load:
        time.sleep(1)
        served.process.send_signal(signal.SIGHUP)
        wait_until(lambda: served.stdout.count(STARTED) == 4, "both are replaced", seconds=60)
        wait_until(lambda: served.stdout.count("Finished server process") == 2, "both have ended")
        time.sleep(1)
    outcome = load.outcome
    after = {process.pid for process in served.process_tree()}

    table.note("rolling reload (SIGHUP), 64 connections", outcome)
    assert set(outcome.statuses) == {200, 201}
    assert (outcome.lost, outcome.duplicates) == (0, 0)
    assert len(before & after) < len(before) - 1


def test_dead_worker_is_replaced(postgres: Postgres, serve: Serve, clients: Clients, table: Table) -> None:
    # The remaining worker has a connection for nearly every client, so none waits in vain.
    served = serve(postgres.url, WEB_CONCURRENCY="2", DATABASE_POOL_SIZE="25")
    wait_until(lambda: served.stdout.count(STARTED) == 2, "both serve")
    with clients(served, postgres) as load:
        time.sleep(1)
        served.workers()[0].kill()
        killed = time.monotonic()
        wait_until(lambda: served.stdout.count(STARTED) == 3, "another one serves", seconds=60)
        replaced = time.monotonic() - killed
        time.sleep(1)
    outcome = load.outcome

    table.note("kill -9 of a worker of two", outcome, f"replaced after {replaced:.1f} s")
    assert replaced < 2
    # Its connections are lost with it; a statement that it had sent can still run when the request is repeated (409).
    assert set(outcome.statuses) <= {200, 201, 409, DROPPED}
    assert outcome.statuses[DROPPED] <= 32
    assert (outcome.lost, outcome.duplicates) == (0, 0)


def test_workers_end_when_their_parent_is_killed(
    postgres: Postgres, serve: Serve, clients: Clients, table: Table
) -> None:
    served = serve(postgres.url, WEB_CONCURRENCY="2", DRAIN_SECONDS="15")
    wait_until(lambda: served.stdout.count(STARTED) == 2, "both serve")
    family = served.process_tree()
    with clients(served, postgres) as load:
        time.sleep(1)
        served.process.kill()
        killed = time.monotonic()
        wait_until(lambda: not any(map(is_alive, family[1:])), "the workers have ended")
        ended = time.monotonic() - killed
        served.process.wait()

    table.note("kill -9 of the parent of two workers", load.outcome, f"workers ended after {ended:.1f} s")
    assert ended < 2
    assert HUNG not in load.outcome.statuses
    assert (load.outcome.lost, load.outcome.duplicates) == (0, 0)


def test_service_starts_before_its_database(postgres: Postgres, table: Table, serve: Serve) -> None:
    postgres.stop()
    served = serve(postgres.url, ready=503)
    assert served.status("/health/live") == 200

    back = postgres.start()

    served.wait_until_ready()
    healed = time.monotonic() - back
    events = [json.loads(line)["event"] for line in served.stdout.splitlines()]
    table.add_line("database down at start", "live 200, ready 503", f"ready {healed:.2f} s after it is up")
    assert healed < 1
    assert [event for event in events if event.startswith("database")] == [
        "database unavailable",
        "database available again",
    ]
