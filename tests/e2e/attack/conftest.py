"""The service as in production, with two workers, under attack; each test prints the figures it measured."""

import fcntl
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.figures import Report
from tests.support.processes import Running, running, wait_for_workers

HERE = Path(__file__).parent
# Files in their order: the slowest first; last those with tests that run alone.
FIRST = ("test_sqlmap.py", "test_openapi.py")
LAST = ("test_tokens.py", "test_registration.py", "test_leaks.py", "test_guessing.py", "test_many_log_ins.py")
ORDER = (*FIRST, "", *LAST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: `make attack` selects them, `make test` does not."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.attack)
    items.sort(key=lambda item: ORDER.index(item.path.name if item.path.name in ORDER else ""))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run tests marked `alone` while no other worker is active, because they measure times."""
    alone = item.get_closest_marker("alone") is not None
    with (HERE / "conftest.py").open() as turnstile, (HERE / "__init__.py").open() as room:
        fcntl.flock(turnstile, fcntl.LOCK_EX)  # no worker overtakes one that waits to be alone
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        return (yield)


@pytest.fixture
def report(capfd: pytest.CaptureFixture[str]) -> Report:
    """Return a function that prints a figure, whether the test passes or not."""

    def show(figure: str) -> None:
        with capfd.disabled():
            # To stderr, because workers of xdist have no stdout.
            print(f"\n    {figure}", file=sys.stderr, flush=True)  # noqa: T201 - for the person who runs the suite

    return show


@pytest.fixture(scope="module")
def two_workers(served_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return the service with two workers and no proxy, shared by the tests of a module."""
    with running(served_database_url, tmp_path_factory.mktemp("served"), WEB_CONCURRENCY="2") as served:
        wait_for_workers(served, 2)
        yield served


@pytest.fixture(scope="module")
def unthrottled(served_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return the service with one worker that does not count failed log-ins."""
    with running(served_database_url, tmp_path_factory.mktemp("served"), LOGIN_THROTTLE="off") as served:
        wait_for_workers(served, 1)
        yield served


@pytest.fixture(scope="module")
def two_hosts(served_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    """Return two services on one database, like two hosts; each test chooses which one it uses."""
    with ExitStack() as stack:
        folders = [tmp_path_factory.mktemp("host") for _ in range(2)]
        hosts = [stack.enter_context(running(served_database_url, folder, LOGIN_THROTTLE="off")) for folder in folders]
        for host in hosts:
            wait_for_workers(host, 1)
        yield hosts
