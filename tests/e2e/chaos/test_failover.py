"""Another server becomes the primary."""

import signal
import time

from tests.support.clusters import NewPostgres, follow, promote
from tests.support.figures import Clients, Table
from tests.support.processes import Serve
from tests.support.proxy import Proxy


def test_promoted_replica_among_several_hosts_is_found(
    new_postgres: NewPostgres, serve: Serve, clients: Clients, table: Table
) -> None:
    primary = new_postgres()
    replica = follow(primary, new_postgres)
    served = serve(f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{replica.port}/postgres")
    with clients(served, replica) as load:
        time.sleep(1)
        primary.stop(signal.SIGKILL)
        time.sleep(0.5)
        promoted = promote(replica)
        time.sleep(2.3)
    outcome = load.outcome

    table.note("failover, several hosts", outcome, f"fails for {outcome.failing_after(promoted):.2f} s after promotion")
    outcome.check()
    assert outcome.statuses[503] > 0
    assert outcome.failing_after(promoted) < 2


def test_frozen_first_host_does_not_hide_the_second(
    new_postgres: NewPostgres, serve: Serve, clients: Clients, table: Table
) -> None:
    """It accepts connections and does not answer, like a host whose disk hangs."""
    primary = new_postgres()
    replica = follow(primary, new_postgres)
    served = serve(f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{replica.port}/postgres")
    with clients(served, replica) as load:
        time.sleep(1)
        primary.freeze()
        promoted = promote(replica)
        time.sleep(4)
    primary.thaw()
    outcome = load.outcome

    table.note(
        "failover, old primary frozen", outcome, f"fails for {outcome.failing_after(promoted):.2f} s after promotion"
    )
    outcome.check()
    assert outcome.statuses[503] > 0
    assert outcome.failing_after(promoted) < 3


def test_connections_to_a_demoted_primary_are_discarded(
    new_postgres: NewPostgres, serve: Serve, clients: Clients, table: Table
) -> None:
    """The address moves to the new primary; open connections still lead to the old one, which is read-only (25006)."""
    old = new_postgres()
    new = follow(old, new_postgres)
    with Proxy(old.port) as address:
        served = serve(old.url.replace(str(old.port), str(address.port)))
        with clients(served, new) as load:
            time.sleep(1)
            # No more writes to the old one; it keeps serving reads, like a demoted primary.
            old.ask("alter system set default_transaction_read_only = on")
            old.ask("select pg_reload_conf()")
            time.sleep(0.3)
            promote(new)
            address.move(new.port)
            moved = time.monotonic()
            time.sleep(2.3)
    outcome = load.outcome

    table.note(
        "address moved, old primary reads only", outcome, f"fails for {outcome.failing_after(moved):.2f} s after"
    )
    outcome.check()
    assert outcome.statuses[503] > 0
    assert outcome.failing_after(moved) < 2
    assert "in a read-only transaction" in old.log
