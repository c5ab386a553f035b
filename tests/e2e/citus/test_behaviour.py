"""The API contract holds on a Citus cluster, at each node: the black-box session, races, idempotency, paging."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.citus.conftest import Cluster
from tests.support.accounts import PASSWORD, account, bearer, refresh
from tests.support.first_session import run_black_box
from tests.support.processes import Running, running
from tests.support.resources import Resource

NEW = "another password than before"


@pytest.fixture(scope="module", params=["coordinator", "worker"])
def through(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Return the service on a node; workers also know where each shard is."""
    node = cluster.coordinator if request.param == "coordinator" else cluster.workers[0]
    folder = tmp_path_factory.mktemp(request.param)
    with running(node.service_url, folder, DATABASE_POOL_SIZE="10", LOGIN_THROTTLE="off") as served:
        served.wait_until_ready()
        yield served


def test_black_box_session_passes(cluster: Cluster, tmp_path: Path) -> None:
    for node in (cluster.coordinator, cluster.workers[-1]):
        with running(node.service_url, tmp_path) as served:
            served.wait_until_ready()
            assert "passed" in run_black_box(served.url)


def test_twenty_concurrent_refreshes_get_one_successor(through: Running) -> None:
    spent = account(through.client).tokens["refresh_token"]

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: refresh(through.client, spent), range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


def test_reused_refresh_token_ends_the_session(through: Running) -> None:
    owner = account(through.client)
    twice = owner.refreshed(through.client).refreshed(through.client)

    stolen = refresh(through.client, owner.tokens["refresh_token"])

    assert (stolen.status_code, twice.ask("GET", "/users/me").status_code) == (400, 401)


def test_concurrent_log_ins_of_many_accounts_succeed(through: Running) -> None:
    accounts = [account(through.client) for _ in range(12)]

    with ThreadPoolExecutor(12) as threads:
        statuses = list(threads.map(lambda each: each.log_in().status_code, accounts))

    assert statuses == [200] * 12


def test_log_in_with_old_password_ends_with_reset(through: Running) -> None:
    def race(_: int) -> bool:
        owner = account(through.client)
        with ThreadPoolExecutor(2) as threads:
            logging_in = threads.submit(owner.log_in)
            reset = owner.ask("POST", "/users/reset-password", {"password": NEW})
        assert reset.status_code == 200, reset.text
        answer = logging_in.result()
        return answer.status_code == 200 and alive(through.client, answer.json()["access_token"])

    with ThreadPoolExecutor(4) as threads:
        survivors = list(threads.map(race, range(24)))

    assert survivors == [False] * 24


def test_concurrent_repetitions_create_one(through: Running, resource: Resource) -> None:
    owner, body = account(through.client), resource.body("once")

    def create(_: int) -> httpx.Response:
        return owner.ask("POST", resource.create, body, **{"Idempotency-Key": "key"})

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(create, range(8)))

    assert {answer.status_code for answer in answers} - {409} == {201}
    assert len({answer.text for answer in answers if answer.status_code == 201}) == 1
    assert len(owner.ask("GET", resource.list).json()) == 1


def test_pages_hold_each_row_once(through: Running, resource: Resource) -> None:
    owner = account(through.client)
    created = {owner.ask("POST", resource.create, resource.body(f"{number:02}")).json()["id"] for number in range(11)}

    page = owner.ask("GET", f"{resource.list}?limit=4")
    listed = [row["id"] for row in page.json()]
    while "next" in page.links:
        page = owner.ask("GET", page.links["next"]["url"])
        listed += [row["id"] for row in page.json()]

    assert (len(listed), set(listed)) == (11, created)


def test_deleted_account_leaves_nothing(through: Running, cluster: Cluster, resource: Resource) -> None:
    owner = account(through.client)
    owner.ask("POST", resource.create, resource.body("gone"), **{"Idempotency-Key": "key"})

    assert owner.ask("DELETE", "/users/me").status_code == 204

    for table in ("login_session", "idempotency_key", resource.table):
        query = f"select count(*) from {table} where user_id = %s"
        assert cluster.coordinator.ask(query, [owner.id]) == 0
    assert (
        httpx.post(f"{through.url}/auth/access-token", data={"username": owner.email, "password": PASSWORD}).status_code
        == 400
    )


def alive(client: httpx.Client, access_token: str) -> bool:
    """Return whether a token is accepted."""
    return client.get("/users/me", headers=bearer(access_token)).status_code == 200
