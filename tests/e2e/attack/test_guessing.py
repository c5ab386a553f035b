"""Passwords cannot be guessed quickly, from many addresses, or by response times."""

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.accounts import account, log_in, register
from tests.support.figures import Report
from tests.support.processes import Running, running, wait_for_workers

ELSEWHERE = "127.0.0.2"  # all of 127.0.0.0/8 is this machine


@pytest.fixture
def guesser(two_workers: Running) -> Iterator[httpx.Client]:
    """Return a client with another address than the owners of accounts."""
    transport = httpx.HTTPTransport(local_address=ELSEWHERE)
    with httpx.Client(base_url=two_workers.url, transport=transport, timeout=30) as client:
        yield client


def test_200_guesses_from_40_forged_addresses_count_as_five(
    two_workers: Running, guesser: httpx.Client, report: Report
) -> None:
    owner = account(two_workers.client)

    def guess(number: int) -> int:
        forged = {"X-Forwarded-For": f"198.51.100.{number % 40}", "Connection": "close"}
        return log_in(guesser, owner.email, f"wrong {number}", **forged).status_code

    with ThreadPoolExecutor(20) as threads:
        statuses = Counter(threads.map(guess, range(200)))

    report(f"200 guesses by 20 threads, 40 forged addresses, 2 processes: {dict(statuses)}")
    assert statuses[400] == 5
    assert statuses.keys() <= {400, 429, 503}  # on a busy machine, some get no turn
    assert log_in(guesser, owner.email).status_code == 429
    assert log_in(two_workers.client, owner.email).status_code == 200
    assert two_workers.client.get("/users/me", headers=owner.bearer).status_code == 200


def test_limit_counts_the_address_the_proxy_saw(own_database_url: str, tmp_path: Path, report: Report) -> None:
    """Clients can send any X-Forwarded-For; the proxy appends the real address."""
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


@pytest.mark.alone
def test_unknown_account_is_not_revealed_by_time(unthrottled: Running, report: Report) -> None:
    """Up to three rounds: a real difference would show in each, noise would not."""
    _, email = register(unthrottled.client)
    medians = [0.0, 0.0]
    for _ in range(3):
        seconds: dict[str, list[float]] = {email: [], "nobody@example.com": []}
        for _ in range(60):
            for each, times in seconds.items():  # in turn, so that other work on this machine affects both
                began = time.perf_counter()
                assert log_in(unthrottled.client, each, "wrong").status_code == 400
                times.append(time.perf_counter() - began)
        medians = [statistics.median(times) * 1000 for times in seconds.values()]
        report("a wrong password takes {:.1f} ms, an unknown account {:.1f} ms (medians of 60)".format(*medians))
        if medians[0] == pytest.approx(medians[1], rel=0.1):
            break
    assert medians[0] == pytest.approx(medians[1], rel=0.1)
