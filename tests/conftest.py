"""One PostgreSQL per test run, one migrated database per worker, one transaction per test, rolled back at its end.

Tests that need commits, several connections or processes take ``own_database_url``: a database for that test alone.
The fixtures are in tests/support, one plugin for each subject.
"""

import gc
import logging
import signal
from collections.abc import Iterator

import pytest
import structlog

# Show the values of failing asserts in helpers too. Must come before the plugins, because they import each other.
pytest.register_assert_rewrite("tests.support")
pytest_plugins = [
    "tests.support.databases",
    "tests.support.application",
    "tests.support.processes",
    "tests.support.supervisors",
    "tests.support.pgbouncer",
    "tests.support.pools",
    "tests.support.folders",
    "tests.support.otlp",
    "tests.support.resources",
    "tests.support.black_box",
    "tests.support.checkouts",
    "tests.support.trees",
]

# The slowest tests start first; otherwise a single core would run them at the end.
SLOWEST = ("test_variants.py", "test_your_own.py", "test_image.py", "test_tutorial.py", "test_renaming.py")


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Let Ctrl-C end the processes that tests start, even if the run is a shell's background job, which ignores it.

    Learn how they end, even if the program that started the run ignores SIGCHLD.

    Log tracebacks as the service does: structlog's default adds hundreds of lines with the variables of the framework.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the slowest test files first."""
    items.sort(key=lambda item: SLOWEST.index(item.path.name) if item.path.name in SLOWEST else len(SLOWEST))


def pytest_collection_finish() -> None:
    """Exempt the collected tests from garbage collection, which would traverse these thousands of objects each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def logging_configuration() -> Iterator[None]:
    """Restore the configuration of logs, which a command run in this process changes."""
    level, configuration = logging.getLogger().level, structlog.get_config()
    yield
    logging.getLogger().setLevel(level)
    structlog.configure(**configuration)
