"""A separate PostgreSQL for each test, the service on it, and clients that record every response."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from service.app import create_app
from service.migrate import runner as migrate
from tests.support.application import make_settings
from tests.support.clusters import NewPostgres, servers
from tests.support.factories import Factory
from tests.support.figures import Clients, Front, Load, Table
from tests.support.folders import temporary_folder
from tests.support.postgres import Postgres, create_cluster
from tests.support.resources import Resource

HERE = Path(__file__).parent
TABLE = pytest.StashKey[Table]()
ACCOUNTS = 32


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: `make chaos` selects them, `make test` does not."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.chaos)


def pytest_configure(config: pytest.Config) -> None:
    """Create the table."""
    config.stash[TABLE] = Table()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if table := str(terminalreporter.config.stash.get(TABLE, "")):
        terminalreporter.section("what the clients saw")
        terminalreporter.write_line(table)
        for report in terminalreporter.stats.get("skipped", ()):
            terminalreporter.write_line(f"not tried: {report.location[2]}: {report.longrepr[2]}", yellow=True)


@pytest.fixture(scope="session")
def table(pytestconfig: pytest.Config) -> Table:
    """Return the table printed at the end."""
    return pytestconfig.stash[TABLE]


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Create a folder for clusters, in memory if there is room."""
    with temporary_folder("chaos-", room=2**31) as name:
        yield name


@pytest.fixture(scope="session")
async def template(folder: Path) -> tuple[Path, list[str]]:
    """Create a migrated cluster with accounts, to be copied; return its folder, and an access token of each account."""
    postgres = Postgres(folder / "template")
    create_cluster(postgres.data)
    postgres.start()
    migrate.apply(postgres.url, report=lambda _: None)
    connection = await asyncpg.connect(postgres.url)
    make = Factory(create_app(make_settings(postgres.url, ACCESS_TOKEN_EXPIRE_SECONDS="86400")), connection)
    users = [await make.user(f"user{number}@example.com") for number in range(1, ACCOUNTS + 1)]
    await connection.close()
    postgres.stop()
    return postgres.data, [user.tokens.access_token for user in users]


@pytest.fixture
def new_postgres(template: tuple[Path, list[str]], folder: Path) -> Iterator[NewPostgres]:
    """Return a function that makes servers for one test."""
    with servers(template[0], folder) as new_postgres:
        yield new_postgres


@pytest.fixture
def postgres(new_postgres: NewPostgres) -> Postgres:
    """Return a server for one test."""
    return new_postgres()


@pytest.fixture
def clients(template: tuple[Path, list[str]], resource: Resource) -> Clients:
    """Return a function that loads a service and its database with 32 clients or another number."""

    def clients(served: Front, postgres: Postgres, number: int = 32, reads: int = 1, pause: float = 0) -> Load:
        return Load(served, postgres, resource, template[1], number, reads, pause)

    return clients
