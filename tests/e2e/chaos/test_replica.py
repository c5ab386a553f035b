"""Reads from a replica that lags, is down, frozen or promoted: no client reads data older than its own writes."""

import asyncio
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import asyncpg
import attrs
import httpx

from service.app import create_app
from service.timeouts import DATABASE_TIMEOUTS
from tests.support.accounts import bearer
from tests.support.application import make_settings
from tests.support.clusters import NewPostgres, follow, promote
from tests.support.factories import Factory
from tests.support.figures import Clients, Table
from tests.support.postgres import Postgres
from tests.support.processes import Running, Serve, wait_until
from tests.support.resources import Resource

TOKEN = "a-token-for-one-test"
PAIRS, REVOKERS = 12, 4
USED, NOT_USED = '"replica in use"', '"replica not used"'


@attrs.define
class Seen:
    """What clients saw of two processes; each client writes to one and reads from the other."""

    hosts: list[httpx.AsyncClient]
    statuses: Counter[int] = attrs.Factory(Counter)
    stale: list[str] = attrs.Factory(list)
    slowest: float = 0.0

    async def ask(self, host: int, method: str, path: str, token: str, body: object = None) -> httpx.Response:
        """Send a request to one of the two processes."""
        began = time.monotonic()
        response = await self.hosts[host % 2].request(method, path, headers=bearer(token), json=body)
        self.statuses[response.status_code] += 1
        self.slowest = max(self.slowest, time.monotonic() - began)
        return response

    def expect(self, what: str, *, found: bool) -> None:
        """Record a stale read."""
        if not found:
            self.stale.append(what)


async def write_and_read(seen: Seen, resource: Resource, token: str) -> None:
    """Create an object, change it and delete it; read it each time, at once and from the other process."""
    made = (await seen.ask(0, "POST", resource.create, token, resource.body("one"))).json()
    path = resource.one(made["id"])
    seen.expect("a thing that was made", found=(await seen.ask(1, "GET", path, token)).status_code == 200)
    await seen.ask(1, "PATCH", path, token, resource.body("two"))
    seen.expect("a text", found=(await seen.ask(0, "GET", path, token)).json().get(resource.field) == "two")
    listed = (await seen.ask(1, "GET", resource.list, token)).json()
    seen.expect("a text in the list", found=made | {resource.field: "two"} in listed)
    await seen.ask(0, "DELETE", path, token)
    seen.expect("a thing that was deleted", found=(await seen.ask(1, "GET", path, token)).status_code == 404)


async def log_in_and_out(seen: Seen, resource: Resource, make: Factory) -> None:
    """Open a session, use it, end it, and try it again, on alternating processes."""
    user = await make.user()
    token = user.tokens.access_token
    seen.expect("a session that began", found=(await seen.ask(1, "GET", resource.list, token)).status_code == 200)
    await seen.ask(0, "DELETE", f"/auth/sessions/{user.session}", token)
    seen.expect("a session that ended", found=(await seen.ask(1, "GET", resource.list, token)).status_code == 401)


@asynccontextmanager
async def clients_of(one: Running, other: Running, primary: Postgres, resource: Resource) -> AsyncIterator[Seen]:
    """Run clients that write and read until the end of the context."""
    async with AsyncExitStack() as stack:
        # Earlier than the server closes an idle connection: both at once would look like a lost response.
        limits = httpx.Limits(max_connections=None, keepalive_expiry=1)
        clients = [
            httpx.AsyncClient(base_url=at.url, trust_env=False, timeout=20, limits=limits) for at in (one, other)
        ]
        seen, over = Seen([await stack.enter_async_context(client) for client in clients]), asyncio.Event()
        app = create_app(make_settings(primary.url, ACCESS_TOKEN_EXPIRE_SECONDS="86400"))

        async def until_over(act: Callable[[], Awaitable[None]]) -> None:
            while not over.is_set():
                await act()

        work = []
        for number in range(PAIRS + REVOKERS):
            connection = await asyncpg.connect(primary.url)
            stack.push_async_callback(connection.close)
            make = Factory(app, connection)
            if number < PAIRS:
                act = partial(write_and_read, seen, resource, (await make.user()).tokens.access_token)
            else:
                act = partial(log_in_and_out, seen, resource, make)
            work.append(asyncio.create_task(until_over(act)))
        yield seen
        over.set()
        await asyncio.gather(*work)


def numbers(served: Running) -> dict[str, float]:
    """Return the counters of a process's reads."""
    text = served.client.get("/metrics", headers=bearer(TOKEN)).text
    patterns = {
        "replica": r'replica_reads_total\{answered_by="replica"\}',
        "primary": r'replica_reads_total\{answered_by="primary"\}',
        "asked": r'sql_query_duration_seconds_count\{query="system.find_position"\}',
    }
    return {name: float(re.findall(rf"^{pattern} (\S+)$", text, re.MULTILINE)[0]) for name, pattern in patterns.items()}


async def test_clients_read_their_writes_despite_replica_faults(
    new_postgres: NewPostgres, serve: Serve, table: Table, resource: Resource
) -> None:
    """Two processes; each client writes to one and reads from the other. The replica is asynchronous, the default."""
    primary = new_postgres()
    replica = new_postgres(replica_of=primary)
    # Long timeouts, so that a healthy replica is not skipped because other work keeps the processors busy.
    settings = {"DATABASE_REPLICA_URL": replica.url, "DATABASE_REPLICA_MAX_LAG": "500", "METRICS_TOKEN": TOKEN}
    one, other = serve(primary.url, **settings), serve(primary.url, **settings)
    for each in (one, other):
        wait_until(lambda each=each: USED in each.stdout, "the replica in use")  # type: ignore[misc]
    began = time.monotonic()
    before = [numbers(each) for each in (one, other)]
    async with clients_of(one, other, primary, resource) as seen:
        await asyncio.sleep(2)
        healthy = [numbers(each) for each in (one, other)]
        was_well = [NOT_USED not in each.stdout for each in (one, other)]
        faults: list[tuple[Callable[[], object], Callable[[], object]]] = [
            (
                partial(replica.ask, "select pg_wal_replay_pause()"),
                partial(replica.ask, "select pg_wal_replay_resume()"),
            ),
            (partial(replica.stop, signal.SIGKILL), replica.start),
            (replica.freeze, replica.thaw),
            (replica.stop, replica.start),
        ]
        ready = []
        for befall, mend in faults:
            await asyncio.to_thread(befall)
            await asyncio.sleep(1)
            ready.append(await asyncio.to_thread(one.status, "/health/ready"))
            await asyncio.to_thread(mend)
            await asyncio.sleep(1.5)
    seconds = time.monotonic() - began
    by_replica, by_primary, asked = (sum(each[name] for each in healthy) for name in ("replica", "primary", "asked"))
    used = [numbers(each)["replica"] - then["replica"] for each, then in zip((one, other), healthy, strict=True)]
    passed_over = [now["primary"] - then["primary"] for now, then in zip(healthy, before, strict=True)]

    share = by_replica / (by_replica + by_primary)
    figure = f"{share:.0%} by the replica while it is well, {by_replica / asked:.1f} a question"
    responses = ", ".join(f"{number:,} of {status}" for status, number in sorted(seen.statuses.items()))
    fault = f"replica read from, paused, killed, frozen, restarted: {len(seen.stale)} stale"
    table.add_line(fault, responses, f"{figure}; slowest {seen.slowest:.1f} s")
    assert seen.stale == []
    assert set(seen.statuses) == {200, 201, 204, 401, 404}
    assert seen.slowest < 3
    assert ready == [200] * len(faults)
    # In use, it answers every read; replay can cancel one, which the primary then answers.
    assert all(number < 0.05 * by_replica for number, well in zip(passed_over, was_well, strict=True) if well)
    assert min(used) > 0
    for each in (one, other):
        logged = each.stdout.count(NOT_USED)
        assert (
            1 <= logged <= seconds / DATABASE_TIMEOUTS.replica_check + 1
        )  # once for each check of it, however many clients notice


def test_replica_takes_over_as_primary(new_postgres: NewPostgres, serve: Serve, clients: Clients, table: Table) -> None:
    """The server in DATABASE_REPLICA_URL is promoted, found as the primary, and answers the reads."""
    primary = new_postgres()
    replica = follow(primary, new_postgres)
    hosts = f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{replica.port}/postgres"
    served = serve(hosts, DATABASE_REPLICA_URL=replica.url)
    with clients(served, replica) as load:
        time.sleep(1)
        primary.stop(signal.SIGKILL)
        time.sleep(0.5)
        promoted = promote(replica)
        time.sleep(2.3)
    outcome = load.outcome

    fails = outcome.failing_after(promoted)
    table.note("failover to the replica that is read from", outcome, f"fails for {fails:.2f} s after promotion")
    outcome.check()
    assert outcome.statuses[503] > 0
    assert fails < 2
    assert "it is not a replica" in served.stdout


def test_frozen_primary_with_replica_is_503_within_3_s(
    new_postgres: NewPostgres, serve: Serve, clients: Clients, table: Table
) -> None:
    """Reads ask the primary for its position before they ask the replica."""
    primary = new_postgres()
    replica = new_postgres(replica_of=primary)
    served = serve(primary.url, DATABASE_REPLICA_URL=replica.url)
    with clients(served, primary) as load:
        time.sleep(1)
        primary.freeze()
        time.sleep(6)
        primary.thaw()
        thawed = time.monotonic()
        time.sleep(2.3)

    fails = load.outcome.failing_after(thawed)
    table.note("primary frozen for 6 s, a replica read from", load.outcome, f"fails for {fails:.2f} s after")
    load.outcome.check()
    assert {request.kind for request in load.outcome.failed} == {"read", "write"}
    assert fails < 2
