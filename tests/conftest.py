"""One PostgreSQL a test run, one migrated database a worker, one transaction, rolled back, a test.

Tests that need commits, several connections or processes take ``own_database_url``: a database for that test alone.
The fixtures are in tests/support, one plugin for each subject.
"""

import logging
import signal
from collections.abc import Iterator

import pytest

# Failing asserts of helpers show values, too; and it comes before the plugins, which import each other.
pytest.register_assert_rewrite("tests.support")
pytest_plugins = [
    "tests.support.databases",
    "tests.support.application",
    "tests.support.processes",
    "tests.support.pools",
    "tests.support.folders",
    "tests.support.otlp",
    "tests.support.resources",
    "tests.support.black_box",
    "tests.support.checkouts",
    "tests.support.trees",
]

# The longest tests begin first, heaviest first: at the end, one core would wait for them.
SLOWEST = ("test_your_own.py", "test_image.py", "test_tutorial.py", "test_scaffold.py", "test_rename.py")


def pytest_configure() -> None:
    """Let Ctrl-C end the processes that tests start: a shell's background job ignores it, and so would they."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first."""
    items.sort(key=lambda item: SLOWEST.index(item.path.name) if item.path.name in SLOWEST else len(SLOWEST))


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """Restore the log level that a command sets for its whole process, which is this one if a test calls it here."""
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)
