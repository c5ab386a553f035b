"""An ended session stays ended at every process, with all its tokens."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.support.accounts import Account, account, log_in, refresh
from tests.support.figures import Report
from tests.support.processes import Running, running
from tests.support.routes import guarded, valid_request

A_LATE_HOUR = "update login_session set last_used_at = last_used_at - interval '11 seconds' where user_id = %s"
GENERATION = "select generation, ended_at is not null from login_session where user_id = %s"
NEW = "another password than before"


def is_dead(host: Running, pair: dict[str, str]) -> bool:
    """Return whether both tokens are refused; each request is the first since the end."""
    me = host.client.get("/users/me", headers={"Authorization": f"Bearer {pair['access_token']}"})
    refused = refresh(host.client, pair["refresh_token"])
    return (me.status_code, refused.status_code, refused.json().get("error")) == (401, 400, "invalid_grant")


def test_20_concurrent_refreshes_get_one_successor(
    two_hosts: list[Running], served_database_url: str, report: Report
) -> None:
    owner = account(two_hosts[0].client)

    with ThreadPoolExecutor(20) as threads:
        token = owner.tokens["refresh_token"]
        responses = list(threads.map(lambda number: refresh(two_hosts[number % 2].client, token), range(20)))

    statuses = Counter(response.status_code for response in responses)
    successors = {response.json()["refresh_token"] for response in responses}
    report(f"20 refreshes at once at 2 processes: {dict(statuses)}, {len(successors)} successor")
    assert statuses == {200: 20}
    assert len(successors) == 1
    with psycopg.connect(served_database_url) as database:
        assert database.execute(GENERATION, [owner.id]).fetchone() == (2, False)
    assert refresh(two_hosts[1].client, successors.pop()).status_code == 200


def test_lost_reply_is_repeated_by_another_process(two_hosts: list[Running], report: Report) -> None:
    owner = account(two_hosts[0].client)
    lost, again = (refresh(host.client, owner.tokens["refresh_token"]).json() for host in two_hosts)

    report("a refresh whose reply was lost, asked again elsewhere: the same successor")
    assert lost["refresh_token"] == again["refresh_token"] != owner.tokens["refresh_token"]


@pytest.mark.parametrize("refreshes", [1, 2, 5], ids=["after 10 s", "its successor is spent", "long spent"])
def test_reused_token_revokes_the_session(
    two_hosts: list[Running], served_database_url: str, report: Report, refreshes: int
) -> None:
    """The response is an error, but the revocation is committed: the thief stays logged out."""
    owner = account(two_hosts[0].client)
    pairs = [owner.tokens]
    for number in range(refreshes):
        pairs.append(refresh(two_hosts[number % 2].client, pairs[-1]["refresh_token"]).json())
    with psycopg.connect(served_database_url, autocommit=True) as database:
        if refreshes == 1:
            database.execute(A_LATE_HOUR, [owner.id])

        stolen = refresh(two_hosts[1].client, pairs[0]["refresh_token"])

        assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
        assert database.execute(GENERATION, [owner.id]).fetchone() == (refreshes + 1, True)
    report(f"a token spent {refreshes} refreshes ago: all {len(pairs)} pairs are dead at both processes")
    assert all(is_dead(host, pair) for host in two_hosts for pair in pairs)


def log_out(client: httpx.Client, owner: Account) -> httpx.Response:
    return client.post("/auth/logout", json={"refresh_token": owner.tokens["refresh_token"]})


def delete(client: httpx.Client, owner: Account) -> httpx.Response:
    return client.delete("/users/me", headers=owner.bearer)


def another_session(client: httpx.Client, owner: Account) -> dict[str, str]:
    """Log the owner in once more, and return that session's caller."""
    return {"Authorization": f"Bearer {log_in(client, owner.email).json()['access_token']}"}


def reset(client: httpx.Client, owner: Account) -> httpx.Response:
    return client.post("/users/reset-password", json={"password": NEW}, headers=another_session(client, owner))


def end_the_others(client: httpx.Client, owner: Account) -> httpx.Response:
    return client.delete("/auth/sessions", headers=another_session(client, owner))


def end_it(client: httpx.Client, owner: Account) -> httpx.Response:
    headers = another_session(client, owner)
    [other] = [each["id"] for each in client.get("/auth/sessions", headers=headers).json() if not each["current"]]
    return client.delete(f"/auth/sessions/{other}", headers=headers)


@pytest.mark.parametrize("end", [log_out, delete, reset, end_the_others, end_it])
def test_tokens_are_invalid_on_the_next_request(
    two_hosts: list[Running], report: Report, end: Callable[[httpx.Client, Account], httpx.Response]
) -> None:
    """On every route, also at a process that has cached the access token as genuine."""
    here, there = two_hosts
    owner = account(here.client)
    for host in two_hosts * 2:
        assert host.client.get("/users/me", headers=owner.bearer).status_code == 200

    assert end(here.client, owner).status_code in {200, 204}

    assert is_dead(there, owner.tokens)
    for route in guarded():
        for host in two_hosts:
            assert host.client.request(**valid_request(route, owner.bearer)).status_code == 401, route
    report(f"after {end.__name__} at one process: {len(guarded())} routes of both refuse it, the refresh token is dead")


def test_session_expires_on_time_despite_refreshes(served_database_url: str, tmp_path: Path, report: Report) -> None:
    with running(served_database_url, tmp_path, REFRESH_TOKEN_EXPIRE_SECONDS="3") as served:
        served.wait_until_ready()
        owner = account(served.client)
        began, refreshes, pair = time.monotonic(), 0, owner.tokens
        while (response := refresh(served.client, pair["refresh_token"])).status_code == 200:
            pair, refreshes = response.json(), refreshes + 1
            assert time.monotonic() - began < 10
        seconds = time.monotonic() - began

        assert is_dead(served, pair)
    report(f"a session of 3 s was refreshed {refreshes} times, and was over after {seconds:.1f} s")
    assert refreshes > 10
    assert 1.5 < seconds < 3.5
