"""The service on a Citus cluster: a separate database per run on each node, migrated and distributed by sql/citus.sql.

``CITUS_URL`` is a superuser's URL of the coordinator, which knows its workers; without it, these tests are skipped.
``CITUS_RESTART`` is a command that restarts a node, given its port; without it, the tests that restart nodes are.
"""

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import attrs
import psycopg
import pytest

from service.postgres.libpq import psycopg_conninfo
from tests.support.accounts import account
from tests.support.processes import ROOT, Running, run, running

HERE = Path(__file__).parent
DATABASE = f"service_test_{os.getpid()}"
ADD_NODE = "select citus_add_node(%s, %s)"
ACCOUNTS = 16


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.citus)


@attrs.frozen
class Node:
    """A node of the cluster, and its URL of this run's database."""

    host: str
    port: int
    url: str

    def ask(self, query: LiteralString, parameters: Any = ()) -> Any:  # noqa: ANN401 - any value
        """Run a statement on its own connection and return the first value of the first row."""
        with psycopg.connect(psycopg_conninfo(self.url), autocommit=True) as connection:
            cursor = connection.execute(query, parameters)
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def restart(self) -> None:
        """Restart the server."""
        restart = os.environ.get("CITUS_RESTART") or pytest.skip("CITUS_RESTART is not set")
        subprocess.run([*shlex.split(restart), str(self.port)], check=True, timeout=120)

    @property
    def service_url(self) -> str:
        """The URL for the service, with the role and parameters of docs/scaling.md."""
        return f"{self.url}?plan_cache_mode=auto&citus.override_table_visibility=off"


@attrs.frozen
class Cluster:
    """The coordinator and its workers."""

    coordinator: Node
    workers: list[Node]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Return a cluster with a distributed database."""
    url = os.environ.get("CITUS_URL") or pytest.skip("CITUS_URL is not set")
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(
            "select nodename, nodeport from pg_dist_node where noderole = 'primary' order by groupid"
        ).fetchall()
        user = connection.info.user
    coordinator, *workers = [Node(host, port, f"postgresql://{user}@{host}:{port}/{DATABASE}") for host, port in rows]
    assert len(workers) > 1
    nodes = [coordinator, *workers]
    for node in nodes:
        _create_database(node)
    coordinator.ask("select citus_set_coordinator_host(%s, %s)", [coordinator.host, coordinator.port])
    for worker in workers:
        coordinator.ask(ADD_NODE, [worker.host, worker.port])
    migrated = run("migrate", settings={"DATABASE_URL": coordinator.url})
    assert migrated.returncode == 0, migrated.stderr
    with psycopg.connect(coordinator.url, autocommit=True) as connection:
        connection.execute((ROOT / "sql" / "citus.sql").read_bytes())
    yield Cluster(coordinator, workers)
    for node in reversed(nodes):
        _maintain(node, f"drop database {DATABASE} with (force)")


def _create_database(node: Node) -> None:
    _maintain(node, f"create database {DATABASE}")
    node.ask("create extension citus")


def _maintain(node: Node, statement: str) -> None:
    """Run a statement outside this run's database."""
    url = node.url.removesuffix(DATABASE) + "postgres"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set citus.enable_create_database_propagation = off")
        connection.execute(statement.encode())


@pytest.fixture(scope="session")
def served(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return the service on the coordinator."""
    folder = tmp_path_factory.mktemp("served")
    with running(cluster.coordinator.service_url, folder, DATABASE_POOL_SIZE="10", LOGIN_THROTTLE="off") as served:
        served.wait_until_ready()
        yield served


@pytest.fixture(scope="session")
def tokens(served: Running) -> list[str]:
    """Return the access tokens of some accounts."""
    return [account(served.client).tokens["access_token"] for _ in range(ACCOUNTS)]
