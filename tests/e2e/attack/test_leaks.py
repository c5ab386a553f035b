"""Responses, logs and response times reveal no secret and nothing of other users."""

import json
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.support.accounts import Account, account, log_in
from tests.support.figures import Report
from tests.support.processes import SECRET_KEY, Running, running, wait_for_workers, wait_until
from tests.support.resources import resources
from tests.support.routes import routes, valid_request

PLANTED = "planted-password-7c1f"
METRICS_TOKEN = "planted-token-of-metrics-51d0"


def routes_with_ids() -> list[str]:
    """Return the routes with ids of sessions or of resources."""
    known = {"session_id", *(each.id for each in resources())}
    return [route for route in routes() if known.issuperset(found := re.findall(r"{(\w+)}", route)) and found]


def things_of(client: httpx.Client, owner: Account) -> dict[str, object]:
    """Return an id of an object of `owner` for each name of an id in a path."""
    created = {
        each.id: client.post(each.create, json=each.body("Secret"), headers=owner.bearer).json()["id"]
        for each in resources()
    }
    return {**created, "session_id": client.get("/auth/sessions", headers=owner.bearer).json()[0]["id"]}


def never() -> dict[str, object]:
    """Return an id that no object has for each name of an id in a path."""
    return {**{each.id: 2**62 for each in resources()}, "session_id": str(uuid4())}


def test_other_users_objects_look_nonexistent(two_workers: Running, report: Report) -> None:
    client = two_workers.client
    owner, stranger = account(client), account(client)
    theirs = things_of(client, owner)

    def ask(route: str, ids: dict[str, object]) -> tuple[int, dict[str, str], dict[str, object]]:
        headers = stranger.bearer | ({} if route.startswith("GET ") else {"If-Match": '"1"'})
        response = client.request(**valid_request(route, headers, **ids))
        named = {name: value for name, value in response.headers.items() if name not in {"date", "x-request-id"}}
        return response.status_code, named, response.json() | {"instance": ""}

    for route in routes_with_ids():
        others, nothing = ask(route, theirs), ask(route, never())
        assert others == nothing, route
        assert others[0] == 404
        assert not {"etag", "location"} & others[1].keys()

    report(f"{len(routes_with_ids())} routes with an id: another user's is answered as one that never was")
    assert routes_with_ids()
    for each in resources():
        assert client.get(each.one(theirs[each.id]), headers=owner.bearer).json()[each.field] == "Secret"
    assert client.get("/users/me", headers=owner.bearer).status_code == 200


@pytest.mark.alone
def test_other_users_objects_take_as_long_as_none(two_workers: Running, report: Report) -> None:
    """On every route with an id. Up to three rounds: a real difference would show in each."""
    client = two_workers.client
    owner, stranger = account(client), account(client)
    theirs = things_of(client, owner)
    for route in routes_with_ids():
        requests = [valid_request(route, stranger.bearer, **ids) for ids in (theirs, never())]
        medians = [0.0, 0.0]
        for _ in range(3):
            seconds: dict[str, list[float]] = {each["url"]: [] for each in requests}
            for each in requests * 150:  # in turn, so that other work on this machine affects both
                began = time.perf_counter()
                assert client.request(**each).status_code == 404
                seconds[each["url"]].append(time.perf_counter() - began)
            medians = [statistics.median(times) * 1000 for times in seconds.values()]
            report("{}: another user's takes {:.3f} ms, none {:.3f} ms (medians of 150)".format(route, *medians))
            if medians[0] == pytest.approx(medians[1], rel=0.1):
                break
        assert medians[0] == pytest.approx(medians[1], rel=0.1), route


def test_planted_secrets_are_never_logged_or_returned(own_database_url: str, tmp_path: Path, report: Report) -> None:
    """Each is sent to where it belongs and elsewhere, and every operation is made to fail."""
    with psycopg.connect(own_database_url, autocommit=True) as database:
        settings = {"WEB_CONCURRENCY": "2", "LOG_LEVEL": "DEBUG", "DATABASE_LOCK_TIMEOUT": "100"}
        settings |= {"SLOW_QUERY_MS": "1", "TRUSTED_PROXY_HOPS": "1", "METRICS_TOKEN": METRICS_TOKEN}
        with running(f"{own_database_url}&password=planted-database-9d2e", tmp_path, **settings) as served:
            wait_for_workers(served, 2)
            client, responses = served.client, []
            owner = account(client)
            secrets = [PLANTED, owner.tokens["access_token"], owner.tokens["refresh_token"], SECRET_KEY]
            refresh = owner.tokens["refresh_token"]
            sends: list[Callable[[], httpx.Response]] = [
                lambda: client.post("/users/register", json={"email": "x@example.com", "password": PLANTED}),
                lambda: client.post("/users/register", json={"email": PLANTED, "password": PLANTED}),
                lambda: client.post("/users/register", json={"password": PLANTED}),
                lambda: log_in(client, owner.email, PLANTED),
                lambda: log_in(client, PLANTED, PLANTED),
                lambda: client.post("/auth/access-token", content=f"username=a&password={PLANTED}&x=%ff"),
                lambda: client.post("/users/reset-password", json={"password": PLANTED}, headers=owner.bearer),
                lambda: client.post("/users/reset-password", json={"current_password": PLANTED}, headers=owner.bearer),
                lambda: client.get("/auth/sessions", headers=owner.bearer),
                lambda: client.get("/users/me", headers={"Authorization": f"Basic {PLANTED}"}),
                lambda: client.get("/users/me", headers={"Authorization": owner.bearer["Authorization"] + "x"}),
                lambda: client.post("/auth/logout", json={"refresh_token": refresh + "x"}),
                lambda: client.get(f"/{PLANTED}?password={PLANTED}", headers={"User-Agent": PLANTED}),
                lambda: client.get("/auth/sessions", headers={"X-Request-ID": PLANTED, "X-Forwarded-For": PLANTED}),
                lambda: client.request(PLANTED.upper(), "/auth/sessions"),
                lambda: client.get("/a\r\nforged: line".replace("\r\n", "%0d%0a")),
            ]
            broken = "alter table {0} rename to {0}_gone; create view {0} as select * from {0}_gone where 1 / 0 = 1"
            for refusal in ("", broken.format("user_model"), broken.format("login_session")):
                if refusal:
                    database.execute(refusal)
                responses += [send() for send in sends]
            names = [response.headers["X-Request-ID"] for response in responses if "X-Request-ID" in response.headers]
            metrics = client.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
            wait_until(lambda: all(name in served.stdout for name in names), "each request is in the log")
            logs = served.stdout + served.stderr

    statuses = sorted({response.status_code for response in responses})
    everything = logs + "".join(f"{response.headers} {response.text}" for response in [*responses, metrics])
    own = f"{PLANTED!r}"
    lines = [json.loads(line) for line in logs.splitlines()]
    report(f"{len(responses)} responses {statuses} and {len(lines)} lines of log: planted secrets found 0 times")
    assert 500 in statuses
    assert "requests_total" in metrics.text
    for secret in [*secrets, "planted-database-9d2e", METRICS_TOKEN]:
        assert secret not in everything, own
    assert "argon2id" not in everything
    assert "DETAIL" not in everything
    assert {"request", "request failed", "slow query"} <= {line["event"] for line in lines}
    assert not [line for line in lines if "\n" in line["event"]]
    for response in responses:
        assert "Traceback" not in response.text
        assert "select" not in response.text.lower()
