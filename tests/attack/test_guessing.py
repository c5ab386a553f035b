"""Passwords cannot be guessed: not fast, not from many addresses, not by the time that an answer takes."""

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.attack.accounts import PASSWORD, account, log_in, register
from tests.attack.conftest import Report, running, wait_for_workers
from tests.processes import Running

ELSEWHERE = "127.0.0.2"  # all of 127.0.0.0/8 is this machine


@pytest.fixture
def guesser(two_workers: Running) -> Iterator[httpx.Client]:
    """Return a client at another address than the owners of accounts."""
    transport = httpx.HTTPTransport(local_address=ELSEWHERE)
    with httpx.Client(base_url=two_workers.url, transport=transport, timeout=30) as client:
        yield client


def test_200_guesses_at_two_processes_under_40_forged_addresses_are_five(
    two_workers: Running, guesser: httpx.Client, report: Report
) -> None:
    owner = account(two_workers.client)

    def guess(number: int) -> int:
        forged = {"X-Forwarded-For": f"198.51.100.{number % 40}", "Connection": "close"}
        return log_in(guesser, owner.email, f"wrong {number}", **forged).status_code

    with ThreadPoolExecutor(20) as threads:
        statuses = Counter(threads.map(guess, range(200)))

    report(f"200 guesses by 20 threads, 40 forged addresses, 2 processes: {dict(statuses)}")
    assert statuses == {400: 5, 429: 195}
    assert log_in(guesser, owner.email).status_code == 429
    assert log_in(two_workers.client, owner.email).status_code == 200
    assert two_workers.client.get("/users/me", headers=owner.bearer).status_code == 200


def test_the_limit_counts_what_the_trusted_proxy_saw(own_database_url: str, tmp_path: Path, report: Report) -> None:
    """A client may write what it likes into X-Forwarded-For; the proxy adds the truth at the end."""
    with running(own_database_url, tmp_path, WEB_CONCURRENCY="2", TRUSTED_PROXY_HOPS="1") as served:
        wait_for_workers(served, 2)
        _, email = register(served.client)

        statuses = Counter(
            log_in(served.client, email, "wrong", **{"X-Forwarded-For": f"{forged}, 203.0.113.7"}).status_code
            for forged in (f"198.51.100.{number}" for number in range(40))
        )
        other = log_in(served.client, email, "wrong", **{"X-Forwarded-For": "203.0.113.8"})

    report(f"40 guesses through a proxy, each with another forged entry: {dict(statuses)}")
    assert statuses == {400: 5, 429: 35}
    assert other.status_code == 400


def test_an_unknown_account_cannot_be_told_by_time(unthrottled: Running, report: Report) -> None:
    _, email = register(unthrottled.client)
    seconds: dict[str, list[float]] = {email: [], "nobody@example.com": []}
    for _ in range(100):
        for each, times in seconds.items():  # in turns, so that what else this machine does hits both
            began = time.perf_counter()
            assert log_in(unthrottled.client, each, "wrong").status_code == 400
            times.append(time.perf_counter() - began)

    known, unknown = (statistics.median(times) * 1000 for times in seconds.values())

    report(f"a wrong password takes {known:.1f} ms, an unknown account {unknown:.1f} ms (medians of 100)")
    assert known == pytest.approx(unknown, rel=0.1)


def test_200_log_ins_at_once_do_not_hinder_others(unthrottled: Running, report: Report) -> None:
    caller = account(unthrottled.client)
    process = psutil.Process(unthrottled.process.pid)
    waits: list[float] = []
    most = 0.0
    limits = httpx.Limits(max_connections=200)
    with (
        ThreadPoolExecutor(200) as threads,
        httpx.Client(base_url=unthrottled.url, timeout=60, limits=limits) as crowd,
    ):
        began = time.perf_counter()
        logging_in = [threads.submit(log_in, crowd, caller.email) for _ in range(200)]
        while not all(each.done() for each in logging_in):
            asked = time.perf_counter()
            assert unthrottled.client.get("/users/me", headers=caller.bearer).status_code == 200
            waits.append(time.perf_counter() - asked)
            most = max(most, process.memory_info().rss / 2**20)
        seconds = time.perf_counter() - began
    answers = [each.result() for each in logging_in]
    statuses = Counter(answer.status_code for answer in answers)
    p99 = statistics.quantiles(waits, n=100)[98] * 1000

    report(
        f"200 log-ins at once: {dict(statuses)} in {seconds:.1f} s, {statuses[200] / seconds:.0f} a second, "
        f"{most:.0f} MB; GET /users/me meanwhile: p99 {p99:.0f} ms of {len(waits)}"
    )
    assert set(statuses) <= {200, 503}
    assert statuses[200] >= 64
    assert all("Retry-After" in answer.headers for answer in answers if answer.status_code == 503)
    assert most < 200
    assert p99 < 250
    assert PASSWORD not in unthrottled.stdout
