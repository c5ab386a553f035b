"""A flood of registrations: others log in as before."""

import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.accounts import PASSWORD, Account, account, connect, new_email
from tests.support.figures import Report
from tests.support.processes import Running, running, wait_for_workers

CONNECTIONS = 160
LOG_INS = 60


@pytest.fixture(scope="module", params=["100, 3600", "off"], ids=["limited", "unlimited"])
def served(
    served_database_url: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Running]:
    """Return the service with two workers; without a limit, as if the flood came from thousands of networks."""
    settings = {"WEB_CONCURRENCY": "2", "TRUSTED_PROXY_HOPS": "1", "REGISTRATION_THROTTLE": request.param}
    with running(served_database_url, tmp_path_factory.mktemp("served"), **settings) as served:
        wait_for_workers(served, 2)
        yield served


def log_ins(caller: Account) -> tuple[Counter[int], list[float]]:
    """Log in again and again; return the statuses, and the seconds that each took."""
    statuses, seconds = Counter[int](), list[float]()
    for _ in range(LOG_INS):
        began = time.perf_counter()
        statuses[caller.log_in().status_code] += 1
        seconds.append(time.perf_counter() - began)
        time.sleep(0.05)
    return statuses, seconds


def flood(url: str, end: threading.Event) -> Counter[int]:
    """Register on one connection until the `end`."""
    statuses = Counter[int]()
    with connect(url) as client:
        client.headers["X-Forwarded-For"] = "198.51.100.66"
        while not end.is_set():
            body = {"email": new_email(), "password": PASSWORD}
            statuses[client.post("/users/register", json=body).status_code] += 1
    return statuses


def p99(seconds: list[float]) -> float:
    """Return the 99th percentile, in milliseconds."""
    return statistics.quantiles(seconds, n=100, method="inclusive")[98] * 1000


@pytest.mark.alone
def test_flood_of_registrations_leaves_log_ins_as_before(served: Running, report: Report) -> None:
    caller = account(served.client)
    quiet, before = log_ins(caller)
    end = threading.Event()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        flooding = [threads.submit(flood, served.url, end) for _ in range(CONNECTIONS)]
        time.sleep(1)
        busy, meanwhile = log_ins(caller)
        end.set()
        registrations = sum((each.result() for each in flooding), Counter[int]())

    report(
        f"log-ins of another user: {dict(quiet)}, p50 {statistics.median(before) * 1000:.0f} ms, p99 {p99(before):.0f} "
        f"ms; while {CONNECTIONS} connections register ({dict(registrations)}): {dict(busy)}, "
        f"p50 {statistics.median(meanwhile) * 1000:.0f} ms, p99 {p99(meanwhile):.0f} ms"
    )
    assert quiet == busy == {200: LOG_INS}
    assert registrations[201] > 0
    assert set(registrations) <= {201, 429, 503}
