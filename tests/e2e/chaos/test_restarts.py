"""PostgreSQL ends and comes back."""

import json
import signal
import time
from collections import Counter

from tests.support.figures import Clients, Table
from tests.support.postgres import Postgres
from tests.support.processes import Serve

WARM = 1.2  # seconds of work before and after a fault


def test_fast_restart_fails_for_less_than_a_second(
    postgres: Postgres, serve: Serve, clients: Clients, table: Table
) -> None:
    """It can be over before a connection is tried: requests then only wait, and there is no outage to log."""
    served = serve(postgres.url)
    with clients(served, postgres) as load:
        time.sleep(WARM)
        postgres.stop(signal.SIGINT)
        back = postgres.start()
        time.sleep(WARM)
    outcome = load.outcome

    table.note("fast restart", outcome, f"fails for {outcome.failing_after(back):.2f} s after it is back")
    outcome.check()
    assert outcome.failing_after(back) < 1
    logged = outage_entries(served.stdout)
    assert logged["database unavailable"] - 1 <= logged["database available again"] <= logged["database unavailable"]


def test_killed_server_is_503_until_it_is_back(
    postgres: Postgres, serve: Serve, clients: Clients, table: Table
) -> None:
    served = serve(postgres.url)
    with clients(served, postgres) as load:
        time.sleep(WARM)
        postgres.stop(signal.SIGKILL)
        time.sleep(3)
        back = postgres.start()
        time.sleep(WARM)
    outcome = load.outcome

    figure = f"fails for {outcome.failing_after(back):.2f} s after it is back"
    table.note("kill -9 of the postmaster, 3 s down", outcome, figure)
    outcome.check()
    assert outcome.statuses[503] > 0
    assert outcome.failing_after(back) < 1
    logged = outage_entries(served.stdout)
    assert logged.keys() == {"database unavailable", "database available again"}
    # In order; an outage met in the middle of a restart is logged again, and its end when a connection succeeds.
    assert 1 <= logged["database available again"] <= logged["database unavailable"] <= 3
    assert logged["database unavailable"] - logged["database available again"] <= 1


def outage_entries(output: str) -> Counter[str]:
    """Count the log lines about the database, and those at a level that LOG_LEVEL=ERROR keeps, by event."""
    entries = map(json.loads, output.splitlines())
    return Counter(entry["event"] for entry in entries if is_outage_entry(entry))


def is_outage_entry(entry: dict[str, object]) -> bool:
    """Return whether a log line is about the database, or at a level that LOG_LEVEL=ERROR keeps."""
    return str(entry["event"]).startswith("database") or entry["level"] in {"error", "critical"}


def test_killed_backend_is_503_for_a_moment(postgres: Postgres, serve: Serve, clients: Clients, table: Table) -> None:
    """PostgreSQL then restarts all of its processes, because shared memory cannot be trusted."""
    served = serve(postgres.url)
    with clients(served, postgres) as load:
        time.sleep(WARM)
        killed = time.monotonic()
        postgres.kill_one_backend()
        time.sleep(2.5)
    outcome = load.outcome

    table.note("kill -9 of one backend", outcome, f"fails for {outcome.failing_after(killed):.2f} s")
    outcome.check()
    assert outcome.statuses[503] > 0
    assert outcome.failing_after(killed) < 2
