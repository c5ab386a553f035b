"""Nodes restart and shards move under load: no acknowledged write is lost or duplicated."""

# ruff: noqa: PT012 - a failing transaction is a block

import asyncio
import time
from uuid import UUID

import pytest

from service.postgres import Database
from service.postgres.pool import Pool
from service.problems import Unavailable
from service.users.controllers import END_MY_OTHER_SESSIONS, RESET_PASSWORD
from tests.e2e.citus.conftest import Cluster
from tests.support.accounts import account
from tests.support.figures import Load
from tests.support.processes import Running, wait_until
from tests.support.resources import Resource

SHARDS = """
    select array_agg(shardid) from citus_shards
    where table_name = 'login_session'::regclass and nodeport = %s
"""
MOVE = "select citus_move_shard_placement(%s, %s, %s, %s, %s, 'force_logical')"


@pytest.mark.parametrize("node", ["worker", "coordinator"])
def test_restarted_node_loses_no_write(
    cluster: Cluster, served: Running, tokens: list[str], resource: Resource, node: str
) -> None:
    restarted = cluster.coordinator if node == "coordinator" else cluster.workers[0]

    with Load(served, cluster.coordinator, resource, tokens, clients=8, reads=1, pause=0.01) as load:  # type: ignore[arg-type]  # it asks, too
        time.sleep(2)
        restarted.restart()
        wait_until(lambda: served.client.get("/health/ready").status_code == 200, "the service is ready")
        time.sleep(4)
        cluster.coordinator.ask("select recover_prepared_transactions()")  # Citus itself does it once a minute

    assert (load.outcome.lost, load.outcome.duplicates) == (0, 0)
    assert set(load.outcome.statuses) <= {200, 201, 409, 503}
    assert load.outcome.requests[-1].status in {200, 201}


def test_moved_shards_lose_no_write(cluster: Cluster, served: Running, tokens: list[str], resource: Resource) -> None:
    source, target = cluster.workers[:2]
    shards = cluster.coordinator.ask(SHARDS, [source.port])

    with Load(served, cluster.coordinator, resource, tokens, clients=8, reads=1, pause=0.01) as load:  # type: ignore[arg-type]  # it asks, too
        time.sleep(1)
        for shard in shards[:4]:
            cluster.coordinator.ask(MOVE, [shard, source.host, source.port, target.host, target.port])
        time.sleep(1)

    assert (load.outcome.lost, load.outcome.duplicates) == (0, 0)
    assert set(load.outcome.statuses) <= {200, 201, 409, 503}
    assert len(cluster.coordinator.ask(SHARDS, [source.port])) == len(shards) - 4


@pytest.mark.parametrize("at_the_commit", [False, True])
async def test_coordinator_lost_within_a_transaction_rolls_it_back(
    cluster: Cluster, served: Running, *, at_the_commit: bool
) -> None:
    owner = account(served.client)
    [session] = owner.ask("GET", "/auth/sessions").json()
    pool = Pool(cluster.coordinator.service_url)
    async with pool.open():
        with pytest.raises(Unavailable):
            async with Database(pool).transaction() as tx:
                assert await tx.maybe(RESET_PASSWORD, UUID(owner.id), "a hash that no password has", None)
                if at_the_commit:
                    await tx.one(END_MY_OTHER_SESSIONS, UUID(session["id"]), UUID(owner.id))
                await asyncio.to_thread(cluster.coordinator.restart)
                if not at_the_commit:
                    await tx.one(END_MY_OTHER_SESSIONS, UUID(session["id"]), UUID(owner.id))

    wait_until(lambda: owner.log_in().status_code == 200, "the old password is good")
