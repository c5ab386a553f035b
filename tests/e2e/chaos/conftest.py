"""A PostgreSQL of its own for each test, the service on it, and clients that note every answer."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg
import pytest

from service.app import create_app
from service.migrate import runner as migrate
from tests.conftest import make_settings
from tests.support.factories import Factory
from tests.support.figures import Front, Load, Table
from tests.support.postgres import Postgres, create_cluster
from tests.support.processes import ROOT, Running, Start, serving

HERE = Path(__file__).parent
TABLE = pytest.StashKey[Table]()
ACCOUNTS = 32
Serve = Callable[..., Running]
Clients = Callable[..., Load]
NewPostgres = Callable[..., Postgres]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all of this folder: `make chaos` selects it, `make test` does not."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.chaos)


def pytest_configure(config: pytest.Config) -> None:
    """Begin the table."""
    config.stash[TABLE] = Table()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the table."""
    if table := str(terminalreporter.config.stash.get(TABLE, "")):
        terminalreporter.section("what the clients saw")
        terminalreporter.write_line(table)
        for report in terminalreporter.stats.get("skipped", ()):
            terminalreporter.write_line(f"not tried: {report.location[2]}: {report.longrepr[2]}", yellow=True)


@pytest.fixture(scope="session")
def table(pytestconfig: pytest.Config) -> Table:
    """Return what is printed in the end."""
    return pytestconfig.stash[TABLE]


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Make a folder for clusters, in memory where there is room."""
    memory = "/dev/shm"  # noqa: S108 - the folder in it is our own
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**31
    with tempfile.TemporaryDirectory(prefix="chaos-", dir=memory if roomy else None) as name:
        yield Path(name)


@pytest.fixture(scope="session")
async def template(folder: Path) -> tuple[Path, list[str]]:
    """Make a migrated cluster with accounts, to be copied; return its folder, and an access token of each account."""
    postgres = Postgres(folder / "template")
    create_cluster(postgres.data)
    postgres.start()
    migrate.apply(postgres.url, report=lambda _: None)
    connection = await asyncpg.connect(postgres.url)
    make = Factory(create_app(make_settings(postgres.url, ACCESS_TOKEN_EXPIRE_SECONDS="86400")), connection)
    tokens = [(await make.user()).tokens.access_token for _ in range(ACCOUNTS)]
    await connection.close()
    postgres.stop()
    return postgres.data, tokens


@contextmanager
def servers(template: Path, folder: Path) -> Iterator[NewPostgres]:
    """Yield what makes servers that last as long as the context: the template's copy, or what follows another one."""
    with ExitStack() as stack:

        def new_postgres(*, standby_of: Postgres | None = None, **settings: str) -> Postgres:
            data = Path(tempfile.mkdtemp(dir=folder)) / "data"
            stack.callback(shutil.rmtree, data.parent, ignore_errors=True)
            if standby_of:
                postgres = standby_of.standby(data)
            else:
                shutil.copytree(template, data, copy_function=_copy)
                _own(data, template)
                postgres = Postgres(data, **settings)
            stack.callback(postgres.stop)
            postgres.start()
            return postgres

        yield new_postgres


@pytest.fixture
def new_postgres(template: tuple[Path, list[str]], folder: Path) -> Iterator[NewPostgres]:
    """Return what makes a server of the test's own."""
    with servers(template[0], folder) as new_postgres:
        yield new_postgres


def _copy(source: str, target: str) -> None:
    shutil.copy2(source, target)
    _own(Path(target), Path(source))


def _own(path: Path, like: Path) -> None:
    """Give `path`, and the folders below it, to the owner of `like`."""
    owner = like.stat()
    if owner.st_uid != os.geteuid():
        os.chown(path, owner.st_uid, owner.st_gid)
        for below in path.rglob("*/") if path.is_dir() else ():
            os.chown(below, owner.st_uid, owner.st_gid)


@pytest.fixture
def postgres(new_postgres: NewPostgres) -> Postgres:
    """Return a server of the test's own."""
    return new_postgres()


@pytest.fixture
def serve(start: Start) -> Serve:
    """Return what starts the service on a database."""

    def serve(url: str, *, ready: int = 200, cwd: Path = ROOT, **settings: str) -> Running:
        served = start("serve", serving(url, **settings), cwd)
        served.wait_until_ready(ready)
        return served

    return serve


@pytest.fixture
def clients(template: tuple[Path, list[str]]) -> Clients:
    """Return what makes a load of 32 clients (or as many as it is told) on a service and the database behind it."""

    def clients(served: Front, postgres: Postgres, number: int = 32, reads: int = 1, pause: float = 0) -> Load:
        return Load(served, postgres, template[1], number, reads, pause)

    return clients
