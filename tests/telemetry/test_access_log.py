"""The access log of a production process."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.support.accounts import account, connect, refresh
from tests.support.processes import Running, Serve, wait_until

SESSIONS = "/auth/sessions"
WAITING = "select from pg_locks join pg_database on oid = database where not granted and datname = current_database()"
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

LOGFMT = (
    rf"timestamp=\S+Z level=info logger=service.access event=request request_id={UUID} method=GET "
    r"route=/health/live status=200 duration_ms=\d+\.\d+ db_ms=0.0 queries=0 client=127.0.0.1"
)


def entries_of(served: Running, response: httpx.Response) -> list[dict[str, Any]]:
    """Wait for the access log's entry of the request answered by `response`; return all its entries."""
    name = response.headers["X-Request-ID"]

    def entries() -> list[dict[str, Any]]:
        return [json.loads(line) for line in served.stdout.splitlines() if name in line]

    wait_until(lambda: any(entry["event"] == "request" for entry in entries()), f"{name} is in the access log")
    return entries()


def entry_of(served: Running, response: httpx.Response) -> dict[str, Any]:
    """Return the only entry of a request."""
    [entry] = entries_of(served, response)
    return entry


def test_request_is_one_line_with_user_route_and_duration(served: Running) -> None:
    bearer = account(served.client).bearer
    user = served.client.get("/users/me", headers=bearer).json()["id"]

    entry = entry_of(served, served.client.get(SESSIONS, headers=bearer))

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", entry.pop("timestamp"))
    assert 0 < entry.pop("db_ms") < entry.pop("duration_ms") < 5000
    assert re.fullmatch(UUID, entry.pop("request_id"))
    assert entry == {
        "level": "info",
        "logger": "service.access",
        "event": "request",
        "method": "GET",
        "route": SESSIONS,
        "status": 200,
        "queries": 1,
        "user_id": user,
        "client": "127.0.0.1",
    }


def test_route_is_logged_as_a_template(served: Running) -> None:
    response = served.client.delete(f"/auth/sessions/{uuid4()}", headers=account(served.client).bearer)

    entry = entry_of(served, response)

    assert (entry["route"], entry["status"]) == ("/auth/sessions/{session_id}", 404)


@pytest.mark.parametrize("path", ["/nowhere", "/a%0d%0aforged: line"])
def test_unknown_path_has_no_route_or_user(served: Running, path: str) -> None:
    entry = entry_of(served, served.client.get(path))

    assert (entry["route"], entry["status"], entry["queries"]) == (None, 404, 0)
    assert "user_id" not in entry


def test_log_in_is_logged_with_its_user(served: Running) -> None:
    user = account(served.client)

    login = user.log_in()
    refreshed = refresh(served.client, login.json()["refresh_token"])

    assert [entry_of(served, response)["user_id"] for response in (login, refreshed)] == [user.id, user.id]


def test_reused_refresh_token_is_logged(served: Running) -> None:
    user = account(served.client)
    user.refreshed(served.client).refreshed(served.client)

    entries = entries_of(served, refresh(served.client, user.tokens["refresh_token"]))

    assert [(entry["level"], entry["event"]) for entry in entries] == [
        ("warning", "refresh token reused; session revoked"),
        ("info", "request"),
    ]
    assert entries[0]["user_id"] == entries[1]["user_id"]


def test_malformed_request_is_logged(served: Running) -> None:
    response = served.client.get("/", headers={"X": "x" * 40_000})

    name = response.json()["instance"].removeprefix("urn:uuid:")
    response.headers["X-Request-ID"] = name
    entry = entry_of(served, response)
    assert (entry["status"], entry["reason"]) == (431, "The request line and headers are too large")


@pytest.mark.slow
def test_wait_for_a_connection_is_logged(own_database_url: str, serve: Serve) -> None:
    served = serve(own_database_url, DATABASE_POOL_SIZE="1")
    bearer = account(served.client).bearer
    with psycopg.connect(own_database_url, autocommit=True) as connection, ThreadPoolExecutor() as pool:
        connection.execute("begin; lock table user_model")
        pool.submit(served.client.get, "/users/me", headers=bearer)
        wait_until(lambda: connection.execute(WAITING).rowcount == 1, "the first request has the connection")

        second = entry_of(served, served.client.get("/users/me", headers=bearer))

    assert 0 < second["wait_ms"] < second["duration_ms"]


@pytest.mark.slow
def test_slow_query_is_logged_with_its_request(own_database_url: str, serve: Serve) -> None:
    served = serve(own_database_url, SLOW_QUERY_MS="20")
    bearer = account(served.client).bearer
    with psycopg.connect(own_database_url, autocommit=True) as connection, ThreadPoolExecutor() as pool:
        connection.execute("begin; lock table user_model")
        asking = pool.submit(served.client.get, "/users/me", headers=bearer)
        wait_until(lambda: connection.execute(WAITING).rowcount == 1, "the query waits")
        time.sleep(0.03)  # 20 ms are slow
        connection.execute("rollback")
        name = asking.result().headers["X-Request-ID"]

    def slow_queries() -> list[dict[str, Any]]:
        entries = [json.loads(line) for line in served.stdout.splitlines() if "slow query" in line]
        return [entry for entry in entries if entry["query"] == "users.show_me"]

    wait_until(lambda: len(slow_queries()) == 1, "the slow query is logged")
    assert slow_queries()[0]["request_id"] == name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "line"), [("logfmt", LOGFMT), ("console", r"\S+Z \[info +\] request +\[service.access\].* status=200")]
)
def test_log_format_can_be_chosen(own_database_url: str, serve: Serve, form: str, line: str) -> None:
    served = serve(own_database_url, LOG_FORMAT=form)

    served.client.get("/health/live")

    wait_until(lambda: re.search(f"^{line}$", served.stdout, re.MULTILINE) is not None, "the line is written")


@pytest.mark.slow
def test_log_level_error_leaves_out_successes_and_refusals(own_database_url: str, serve: Serve) -> None:
    served = serve(own_database_url, LOG_LEVEL="ERROR")
    bearer = account(served.client).bearer
    with connect(served.url) as client:
        client.get("/users/me", headers=bearer)
        assert client.request("BREWED", "/users/me").status_code == 501

    assert served.end() == -15
    assert served.stdout == ""


@pytest.mark.slow
def test_status_500_is_an_error_and_503_a_warning(own_database_url: str, serve: Serve) -> None:
    served = serve(own_database_url, LOG_LEVEL="WARNING", DATABASE_LOCK_TIMEOUT="20")
    bearer = account(served.client).bearer
    with psycopg.connect(own_database_url) as rival:
        rival.execute("lock table user_model")
        busy = served.client.get("/users/me", headers=bearer)
        rival.execute("alter table user_model rename to gone")
        rival.execute("create view user_model as select * from gone where 1 / 0 = 1")
    failed = served.client.get("/users/me", headers=bearer)

    levels = {entry["status"]: entry["level"] for entry in (entries_of(served, each)[-1] for each in (busy, failed))}

    assert levels == {503: "warning", 500: "error"}


@pytest.mark.slow
def test_no_line_is_lost_at_the_end(own_database_url: str, serve: Serve) -> None:
    served = serve(own_database_url)
    names = [served.client.get("/health/live").headers["X-Request-ID"] for _ in range(50)]

    served.end()

    assert [name for name in names if name not in served.stdout] == []
