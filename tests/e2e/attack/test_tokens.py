"""Only unexpired tokens issued by this service are accepted, at any process, despite clock skew and key rotation."""

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.accounts import account, refresh
from tests.support.figures import Report
from tests.support.forgeries import FORGERIES
from tests.support.jwt import Token
from tests.support.processes import NONE, SECRET_KEY, Running, run, running, serve_settings
from tests.support.sockets import statuses, talk

TRIES = 6
# Replaces the clock of a process before it starts.
SHIFTED = "import time\nclock = time.time\ntime.time = lambda: clock() + ({seconds})\n"
OLD, NEW = "the key that signed tokens so far, of a test", "the key that signs tokens from now, of a test"
WEAK = {
    "empty": "",
    "short": "s3cret",
    "31 bytes": "J4hd-8sKq0_zLmWp2TxYc7RvNbE1GfA",
    "one letter": "a" * 64,
    "few letters": "abcabc" * 12,
    "an example": "change-me-change-me-change-me-12345678",
    "of a tutorial": "your-256-bit-secret-your-256-bit-secret",
    "of a framework": "django-insecure-8s7df6g5h4j3k2l1qwertyuiop",
    "a hint": "super-secret-key-do-not-use-in-production",
}


def whoami(served: Running, token: str) -> bytes:
    """Request the caller's account with a token of any characters, and return the whole response."""
    head = b"GET /users/me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer "
    return talk(served.port, head + token.encode() + b"\r\n\r\n")


@pytest.mark.alone
def test_only_genuine_token_of_100_is_accepted(two_hosts: list[Running], report: Report) -> None:
    """At two processes in turn, each token several times: a cached token does not help another one."""
    genuine = Token(account(two_hosts[0].client).tokens["access_token"], SECRET_KEY.encode())
    answered: Counter[int] = Counter()
    slowest = 0.0
    for name, forge in FORGERIES.items():
        token, seconds = forge(genuine), []
        for host in two_hosts * (TRIES // 2):
            began = time.perf_counter()
            found = statuses(whoami(host, token))
            seconds.append(time.perf_counter() - began)
            assert found in ([401], [400], [431]), name
            answered.update(found)
        slowest = max(slowest, min(seconds))  # the fastest attempt: the others show how busy this machine is
    opened = [statuses(whoami(host, genuine.text)) for host in two_hosts]

    report(f"{len(FORGERIES)} forged tokens at 2 processes: {dict(answered)}, the slowest in {slowest * 1000:.1f} ms")
    assert len(FORGERIES) >= 60
    assert opened == [[200], [200]]
    assert slowest < 0.05


@pytest.fixture
def hosts_of_other_times(served_database_url: str, tmp_path: Path) -> Iterator[list[Running]]:
    """Return three services on one database, whose clocks are right, a minute fast and a minute slow."""
    with ExitStack() as stack:
        hosts = []
        for seconds in (0, 60, -60):
            folder = tmp_path / f"clock{seconds}"
            folder.mkdir()
            (folder / "sitecustomize.py").write_text(SHIFTED.format(seconds=seconds))
            settings = {"PYTHONPATH": str(folder), "ACCESS_TOKEN_EXPIRE_SECONDS": "50"}
            hosts.append(stack.enter_context(running(served_database_url, folder, **settings)))
        for host in hosts:
            host.wait_until_ready()
        yield hosts


def test_clocks_of_hosts_may_differ_by_a_minute(hosts_of_other_times: list[Running], report: Report) -> None:
    """Tokens from the slow clock are expired by the right one; those from the fast clock are early."""
    right, ahead, behind = hosts_of_other_times
    skews = []
    for issuer, reader in ((right, ahead), (right, behind), (ahead, right), (behind, right)):
        caller = account(issuer.client)
        skews.append(caller.tokens["issued_at"] - time.time())
        assert reader.client.get("/users/me", headers=caller.bearer).status_code == 200
        caller = caller.refreshed(reader.client)
        assert issuer.client.get("/users/me", headers=caller.bearer).status_code == 200
    # Two minutes are too many.
    assert ahead.client.get("/users/me", headers=account(behind.client).bearer).status_code == 401

    report("tokens of clocks that are off by " + ", ".join(f"{skew:+.0f} s" for skew in skews) + " are good")
    assert [round(skew / 10) * 10 for skew in skews] == [0, 0, 60, -60]


def test_key_rotation_keeps_users_logged_in(served_database_url: str, tmp_path: Path, report: Report) -> None:
    """One setting at a time, with old and new processes side by side, as in every deployment."""
    steps = [
        {"SECRET_KEY": OLD},
        {"SECRET_KEY": OLD, "SECRET_KEY_PREVIOUS": NEW},
        {"SECRET_KEY": NEW, "SECRET_KEY_PREVIOUS": OLD},
        {"SECRET_KEY": NEW},
    ]
    with ExitStack() as stack:
        hosts = []
        for number, keys in enumerate(steps):
            (tmp_path / str(number)).mkdir()
            hosts.append(stack.enter_context(running(served_database_url, tmp_path / str(number), **keys)))
        for host in hosts:
            host.wait_until_ready()
        person = account(hosts[0].client)
        for before, after in pairwise(hosts):
            # Both accept the tokens that either issues.
            for issuer in (before, after, before, after):
                person = person.refreshed(issuer.client)
                for reader in (before, after):
                    assert reader.client.get("/users/me", headers=person.bearer).status_code == 200
        stranger = account(hosts[0].client)
        # The old key is removed, and its tokens are refused.
        assert hosts[3].client.get("/users/me", headers=stranger.bearer).status_code == 401
        assert refresh(hosts[3].client, stranger.tokens["refresh_token"]).status_code == 400

    report("the key rotated in 3 deploys of 2 processes side by side: 12 refreshes, 24 requests, nobody logged out")


def test_guessable_keys_prevent_startup(report: Report) -> None:
    def start(key: str) -> subprocess.CompletedProcess[str]:
        return run("serve", settings=serve_settings("postgresql:///none", SECRET_KEY=key))

    with ThreadPoolExecutor(2) as threads:
        ended = dict(zip(WEAK, threads.map(start, WEAK.values()), strict=True))
    without = run("serve", settings={**NONE, "DATABASE_URL": "postgresql:///none"})

    report(f"{len(ended)} weak keys and none at all: exit status {without.returncode}, one line on stderr that says so")
    for name, each in ended.items() | {"none": without}.items():
        assert each.returncode == 1, name
        assert each.stderr.startswith("Error: SECRET_KEY "), name
        assert len(each.stderr.splitlines()) == 1, name
        assert WEAK.get(name, "") in {"", "s3cret"} or WEAK[name] not in each.stderr
