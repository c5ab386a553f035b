"""PostgreSQL ends and comes back."""

import json
import signal
import time
from collections import Counter

import attrs
import pytest

from tests.support.figures import Clients, Table
from tests.support.postgres import Postgres
from tests.support.processes import Serve

WARM = 1.2  # seconds of work before and after a fault


@attrs.frozen
class Restart:
    """How PostgreSQL ends, and for how many seconds it is down."""

    name: str
    by: signal.Signals
    down: float = 0.0


RESTARTS = [Restart("fast restart", signal.SIGINT), Restart("kill -9 of the postmaster, 3 s down", signal.SIGKILL, 3)]


@pytest.mark.parametrize("restart", RESTARTS, ids=lambda restart: restart.name)
def test_restart_is_503_until_the_server_is_back(
    postgres: Postgres, serve: Serve, clients: Clients, table: Table, restart: Restart
) -> None:
    served = serve(postgres.url)
    with clients(served, postgres) as load:
        time.sleep(WARM)
        postgres.stop(restart.by)
        time.sleep(restart.down)
        back = postgres.start()
        time.sleep(WARM)
    outcome = load.outcome

    table.note(restart.name, outcome, f"fails for {outcome.failing_after(back):.2f} s after it is back")
    outcome.check()
    assert outcome.statuses[503] > 0
    assert outcome.failing_after(back) < 1
    logged = Counter(entry["event"] for entry in map(json.loads, served.stdout.splitlines()) if is_outage_entry(entry))
    assert logged.keys() == {"database unavailable", "database available again"}
    # In order; an outage met in the middle of a restart is logged again, and its end when a connection succeeds.
    assert 1 <= logged["database available again"] <= logged["database unavailable"] <= 3
    assert logged["database unavailable"] - logged["database available again"] <= 1


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
