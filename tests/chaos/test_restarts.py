"""PostgreSQL ends, and comes back."""

import signal
import time

import attrs
import pytest

from tests.chaos.conftest import Clients, Serve
from tests.chaos.figures import Table
from tests.postgres import Postgres

WARM = 1.5  # seconds of work before a fault, and after it
ONLY = {200, 201, 503}


@attrs.frozen
class Restart:
    """How PostgreSQL ends, and for how many seconds."""

    name: str
    by: signal.Signals
    down: float = 0.0


RESTARTS = [Restart("fast restart", signal.SIGINT), Restart("kill -9 of the postmaster, 3 s down", signal.SIGKILL, 3)]


@pytest.mark.parametrize("restart", RESTARTS, ids=lambda restart: restart.name)
def test_a_restart_is_503_until_the_server_is_back(
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
    assert set(outcome.statuses) == ONLY
    assert all(request.retry_after for request in outcome.failed)
    assert outcome.failing_after(back) < 1
    assert outcome.slowest(503) < 3
    assert (outcome.lost, outcome.duplicates) == (0, 0)
    assert 1 <= served.stdout.count('"database is away"') == served.stdout.count('"database is back"') <= 3


def test_a_killed_backend_is_a_moment_of_503(postgres: Postgres, serve: Serve, clients: Clients, table: Table) -> None:
    """PostgreSQL restarts all of its processes then: what one of them left in shared memory cannot be trusted."""
    served = serve(postgres.url)
    with clients(served, postgres) as load:
        time.sleep(WARM)
        killed = time.monotonic()
        postgres.kill_one_backend()
        time.sleep(2 + WARM)
    outcome = load.outcome

    table.note("kill -9 of one backend", outcome, f"fails for {outcome.failing_after(killed):.2f} s")
    assert set(outcome.statuses) == ONLY
    assert outcome.failing_after(killed) < 2
    assert (outcome.lost, outcome.duplicates) == (0, 0)
