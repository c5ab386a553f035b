"""Each authenticated request uses one shard, as counted by Citus at execution."""

from pathlib import Path

import psycopg

from tests.e2e.citus.conftest import Cluster
from tests.support import api
from tests.support.accounts import account
from tests.support.processes import running
from tests.support.routes import guarded, valid_request

COUNTERS = """
    select query_execution_single_shard, query_execution_multi_shard
    from citus_stat_counters
    where name = current_database()
"""
# PostgreSQL considers a generic plan from the sixth execution of a prepared statement.
EXECUTIONS = 7


def test_authenticated_requests_ask_one_shard(cluster: Cluster, tmp_path: Path) -> None:
    """Without an insert, it is also one part of a query; an insert from a select takes several steps."""
    counted = f"{cluster.coordinator.service_url}&citus.enable_stat_counters=on"
    several, steps = {}, {}
    with (
        running(counted, tmp_path, DATABASE_POOL_SIZE="1", LOGIN_THROTTLE="off") as served,
        psycopg.connect(cluster.coordinator.url, autocommit=True) as connection,
    ):
        served.wait_until_ready()
        for route in guarded():
            before = after = (0, 0)
            for _ in range(EXECUTIONS):
                user = account(served.client)
                [before] = connection.execute(COUNTERS).fetchall()
                answer = user.client.request(**valid_request(route, user.bearer))
                [after] = connection.execute(COUNTERS).fetchall()
                assert answer.status_code < 500, (route, answer.text)
            several[route] = after[1] - before[1]
            steps[route] = after[0] - before[0]

    assert several == dict.fromkeys(guarded(), 0)
    reading = {route for route in guarded() if route.split()[0] in {"GET", "PATCH"} or "{" in route}
    single = {route for route in reading if api.route(route).trips == 1}
    assert {route: steps[route] for route in single} == dict.fromkeys(single, 1)
