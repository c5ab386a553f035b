"""A flood of registrations does not disturb log-ins."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from tests.support.accounts import PASSWORD, Account, account, connect, new_email
from tests.support.figures import Report
from tests.support.processes import Running, running, wait_for_workers

CONNECTIONS = 160
SECONDS = 10


@pytest.fixture(scope="module", params=["100, 3600", "off"], ids=["limited", "unlimited"])
def served(
    served_database_url: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Running]:
    """Return the service with two workers, without a limit, as if the flood came from thousands of networks."""
    settings = {"WEB_CONCURRENCY": "2", "TRUSTED_PROXY_HOPS": "1", "REGISTRATION_THROTTLE": request.param}
    with running(served_database_url, tmp_path_factory.mktemp("served"), **settings) as served:
        wait_for_workers(served, 2)
        yield served


def log_ins(caller: Account, wanted: Callable[[], bool]) -> tuple[Counter[int], list[float]]:
    """Log in ten times a second while `wanted`; return the statuses and the seconds of each log-in."""
    statuses, seconds = Counter[int](), list[float]()
    while wanted():
        began = time.perf_counter()
        statuses[caller.log_in().status_code] += 1
        seconds.append(time.perf_counter() - began)
        time.sleep(0.1)
    return statuses, seconds


def flood(url: str) -> Counter[int]:
    """Register on many connections; return the statuses."""
    end = time.monotonic() + SECONDS

    def one(_: int) -> Counter[int]:
        statuses = Counter[int]()
        with connect(url) as client:
            client.headers["X-Forwarded-For"] = "198.51.100.66"
            while time.monotonic() < end:
                body = {"email": new_email(), "password": PASSWORD}
                statuses[client.post("/users/register", json=body).status_code] += 1
        return statuses

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        return sum(threads.map(one, range(CONNECTIONS)), Counter[int]())


def percentiles(seconds: list[float]) -> str:
    """Return the median and the 99th percentile."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return f"p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms"


@pytest.mark.alone
def test_registration_flood_does_not_delay_log_ins(served: Running, report: Report) -> None:
    caller = account(served.client)
    until = time.monotonic() + SECONDS
    quiet, before = log_ins(caller, lambda: time.monotonic() < until)
    # A separate process, so that the flood's clients do not slow the measured one.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        flooding = process.submit(flood, served.url)
        busy, meanwhile = log_ins(caller, lambda: not flooding.done())
        registrations = flooding.result()

    report(
        f"log-ins of another user: {dict(quiet)}, {percentiles(before)}; while {CONNECTIONS} connections register "
        f"({dict(registrations)}): {dict(busy)}, {percentiles(meanwhile)}"
    )
    assert set(quiet) == set(busy) == {200}
    assert registrations[201] > 0
    assert set(registrations) <= {201, 429, 503}
