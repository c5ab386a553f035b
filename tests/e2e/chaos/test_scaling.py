"""Several hosts behind a load balancer share a PgBouncer: throughput grows with hosts, and any host can fail."""

import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import attrs
import httpx
import pytest

from tests.support.clusters import servers
from tests.support.figures import Clients, Table
from tests.support.hosts import CGROUPS, HAPROXY, HUB, Balancer, Host, Network
from tests.support.load import DROPPED
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Postgres
from tests.support.processes import wait_until
from tests.support.programs import PGBOUNCER_OF_DEBIAN_13, needs
from tests.support.resources import Resource

pytestmark = [
    needs(HAPROXY, "ip", PGBOUNCER_OF_DEBIAN_13),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may make network namespaces"),
]
HOSTS = 3
# Share of one processor: small, so that clients, HAProxy and PostgreSQL have enough beside three hosts.
SHARE = 0.1
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "2"))
ACCOUNT = {"email": "dora@example.com", "password": "a password for one test"}
# In the log of a host: a request other than a check by HAProxy.
OF_CLIENTS = '"route":"{}'
LOGIN = {"username": ACCOUNT["email"], "password": ACCOUNT["password"]}


@attrs.frozen
class Site:
    """Hosts, their servers, and a function that puts a load balancer in front of some hosts."""

    hosts: list[Host]
    postgres: Postgres
    balance: Callable[..., Balancer]


@pytest.fixture(scope="module")
def site(template: tuple[Path, list[str]], folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start three hosts."""
    output, numbers = tmp_path_factory.mktemp("site"), count()
    with ExitStack() as stack:
        postgres = stack.enter_context(servers(template[0], folder))()
        network = stack.enter_context(Network())
        pgbouncer = stack.enter_context(PgBouncer(PGBOUNCER_OF_DEBIAN_13, postgres, output / "pgbouncer", address=HUB))
        hosts = [network.add(output / f"host{n}", pgbouncer.url, **pgbouncer.settings) for n in range(HOSTS)]
        for host in hosts:
            host.wait_until_ready()

        def balance(number: int, *, checks: bool = True) -> Balancer:
            folder = output / f"balancer{next(numbers)}"
            return stack.enter_context(Balancer(hosts[:number], folder, checks=checks))

        yield Site(hosts, postgres, balance)


def test_lost_host_loses_no_request(site: Site, clients: Clients, table: Table, resource: Resource) -> None:
    """Its cable is pulled under load and plugged in again."""
    balancer = site.balance(HOSTS)
    gone = site.hosts[-1]
    with clients(balancer, site.postgres, 32) as load:
        time.sleep(1)
        gone.cut_off()
        cut = time.monotonic()
        time.sleep(2)
        before = gone.served.stdout.count(OF_CLIENTS.format(resource.path))
        gone.connect()
        wait_until(lambda: gone.served.stdout.count(OF_CLIENTS.format(resource.path)) > before + 100, "it serves again")
    outcome = load.outcome

    failing = outcome.failing_after(cut)
    table.note("one of 3 hosts is cut off", outcome, f"fails for {failing:.2f} s")
    assert set(outcome.statuses) <= {200, 201, 409, 502, 503, 504, DROPPED}
    assert failing < 2
    assert (outcome.lost, outcome.duplicates) == (0, 0)


def test_sessions_and_throttles_are_shared_by_hosts(site: Site, table: Table) -> None:
    """All hosts know of a log-in, its end and wrong passwords, however many come at once."""
    first, *others = (host.client for host in site.hosts)
    first.post("/users/register", json=ACCOUNT).raise_for_status()
    token = first.post("/auth/access-token", data=LOGIN).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}

    known = [host.get("/users/me", headers=bearer).status_code for host in others]
    ended = others[0].delete("/users/me", headers=bearer).status_code
    after = [host.client.get("/users/me", headers=bearer).status_code for host in site.hosts]

    first.post("/users/register", json=ACCOUNT).raise_for_status()
    balancer = site.balance(HOSTS)
    with ThreadPoolExecutor(12) as threads:
        statuses = Counter(threads.map(guess, [balancer.port] * 24))
    table.add_line("24 wrong passwords at once, over 3 hosts", str(dict(statuses)))
    assert (known, ended, after) == ([200, 200], 204, [401] * HOSTS)
    assert statuses == {400: 5, 429: 19}


def guess(port: int) -> int:
    """Log in with a wrong password, and return the status."""
    form = LOGIN | {"password": "a wrong password"}
    url = f"http://127.0.0.1:{port}/auth/access-token"
    return httpx.post(url, data=form, headers={"Host": "localhost"}, trust_env=False, timeout=20).status_code


def test_more_hosts_serve_more_requests(site: Site, clients: Clients, table: Table) -> None:
    """Each host is limited to a tenth of a processor; numbers of hosts are measured in turn."""
    if not (CGROUPS / "cpu.cfs_quota_us").exists():
        pytest.skip("needs control groups of version 1")
    # Without health checks: slow hosts would answer them late.
    balancers = {number: site.balance(number, checks=False) for number in range(1, HOSTS + 1)}
    for host in site.hosts:
        host.limit(SHARE)
    rates: dict[int, list[float]] = {number: [] for number in balancers}
    costs: dict[int, list[float]] = {number: [] for number in balancers}
    most = 0
    rate: dict[int, float] = {}
    for each_round in range(3 * ROUNDS):
        for number, balancer in balancers.items():
            began = sum(host.seconds_of_cpu() for host in site.hosts)
            with clients(balancer, site.postgres, 16, reads=9) as load:
                time.sleep(2)
                most = max(most, connections(site.postgres))
            outcome = load.outcome
            requests = len(outcome.requests)
            assert set(outcome.statuses) <= {200, 201, 503}
            assert (outcome.lost, outcome.duplicates) == (0, 0)
            rates[number].append(requests / (outcome.requests[-1].sent - outcome.requests[0].sent))
            costs[number].append((sum(host.seconds_of_cpu() for host in site.hosts) - began) / requests * 1e6)

        rate = {number: statistics.median(each) for number, each in rates.items()}
        # More rounds if other work used the processors meanwhile: that slows all, and more hosts the most.
        if each_round + 1 >= ROUNDS and more(rate):
            break

    for number in balancers:
        cost = statistics.median(costs[number])
        ratio = f"{rate[number] / rate[1]:.2f} times those of one"
        table.add_line(f"{number} of 3 hosts", f"{rate[number]:.0f} requests/s, {ratio}", f"{cost:.0f} µs of CPU each")
    table.add_line("connections of PostgreSQL, 3 hosts through PgBouncer", f"{most} at most")
    assert more(rate)
    assert most <= 8  # PgBouncer's default_pool_size


def more(rate: dict[int, float]) -> bool:
    """Return whether more hosts serve more requests."""
    return rate[2] > 1.4 * rate[1] and rate[3] > 1.6 * rate[1]


def connections(postgres: Postgres) -> int:
    """Return the number of PgBouncer's connections to PostgreSQL."""
    query = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    return int(postgres.ask(query))
