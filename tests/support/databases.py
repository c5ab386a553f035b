"""The PostgreSQL of a test run, and its databases, each a clone of a migrated template."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from pytest_postgresql import factories
from pytest_postgresql.executors import NoopExecutor
from pytest_postgresql.janitor import DatabaseJanitor

from service.embedded import EmbeddedPostgres, EmbeddedPostgresError, embedded_postgres, find_binaries
from service.migrate import runner as migrate
from service.migrate.files import MigrationError
from service.sqlcheck.scratch import with_extension_advice
from tests.support.folders import temporary_folder

# Speed instead of durability, because the server is temporary.
SERVER_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "300"}
# With SQL_RAN, PostgreSQL logs statements; their texts begin with the query's name. Those of psql do not count.
NOTING = {
    "log_statement": "all",
    "log_line_prefix": "%a|",
    "log_min_messages": "log",
    "log_parameter_max_length": "0",
}
RAN = re.compile(r"^(?!psql)[^|\n]*\|LOG:  (?:execute [^:]+|statement): -- (\w+\.\w+): ", re.MULTILINE)
SERVER = pytest.StashKey[ExitStack]()
NUMBERS = count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Start PostgreSQL in the first process of the run; xdist workers find it through the environment.

    With SCRATCH_DATABASE_URL, use that server instead.
    """
    config.option.postgresql_dbname = f"tests_{os.getpid()}_"  # other runs can use the same server
    if url := os.environ.get("SCRATCH_DATABASE_URL"):
        parts = conninfo_to_dict(url)
        os.environ["TEST_POSTGRES"] = f"{parts['host']}:{parts.get('port', 5432)}:{parts['user']}:{find_binaries()}"
    elif not hasattr(config, "workerinput"):
        stack = config.stash[SERVER] = ExitStack()
        # The databases of the workers need more than the 64 MB that a container can have there.
        folder = stack.enter_context(temporary_folder("tests-", room=2**30))
        ran = os.environ.get("SQL_RAN")
        settings = SERVER_SETTINGS | (NOTING if ran else {})
        try:
            server = stack.enter_context(embedded_postgres(folder / "postgres", settings))
        except EmbeddedPostgresError as error:
            raise pytest.UsageError(str(error)) from error
        if ran:
            stack.callback(_note_queries, folder / "postgres" / "log", Path(ran))
        os.environ["TEST_POSTGRES"] = f"{server.socket_directory}:{server.port}:{server.user}:{server.binaries}"
    config.option.postgresql_host, config.option.postgresql_port, config.option.postgresql_user, _ = _server_parts()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop PostgreSQL."""
    if stack := config.stash.get(SERVER, None):
        stack.close()


def _note_queries(log: Path, ran: Path) -> None:
    """Append the names of the queries that ran, one per line, to those of earlier runs, for `sql check --ran`."""
    earlier = ran.read_text(encoding="utf-8").split() if ran.exists() else []
    names = {*earlier, *RAN.findall(log.read_text(encoding="utf-8", errors="replace"))}
    ran.write_text("".join(f"{name}\n" for name in sorted(names)), encoding="utf-8")


def _server_parts() -> list[str]:
    return os.environ["TEST_POSTGRES"].split(":")


@pytest.fixture(scope="session")
def server() -> EmbeddedPostgres:
    """Return the run's PostgreSQL."""
    socket_directory, port, user, binaries = _server_parts()
    return EmbeddedPostgres(Path(socket_directory), int(port), user, Path(binaries))


def migrated(*, host: str, port: int, user: str, dbname: str, **_: object) -> None:
    """Migrate the template that databases are cloned from."""
    try:
        migrate.apply(f"postgresql://{user}@/{dbname}?host={host}&port={port}", report=lambda _: None)
    except MigrationError as error:
        raise MigrationError(with_extension_advice(str(error))) from error


# pytest-postgresql keeps one migrated template per worker.
template = factories.postgresql_noproc(load=[migrated])


@contextmanager
def cloned(template: NoopExecutor, server: EmbeddedPostgres, *, migrated: bool = True) -> Iterator[str]:
    """Yield the URL of a new database, a clone of the template or an empty one."""
    name = f"{template.dbname}_{next(NUMBERS)}"
    janitor = DatabaseJanitor(
        user=template.user,
        host=template.host,
        port=template.port,
        dbname=name,
        template_dbname=template.template_dbname if migrated else None,
    )
    with janitor:
        yield server.url(name)


@pytest.fixture(scope="session")
def database_url(template: NoopExecutor, server: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of the database shared by this worker's tests, each in its own transaction."""
    with cloned(template, server) as url:
        yield url


@pytest.fixture
def own_database_url(template: NoopExecutor, server: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of a migrated database used by this test only."""
    with cloned(template, server) as url:
        yield url


@pytest.fixture(scope="session")
def served_database_url(template: NoopExecutor, server: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of the database of the `served` process, where this worker's tests leave committed rows."""
    with cloned(template, server) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(template: NoopExecutor, server: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of a migrated database shared by the tests of one module."""
    with cloned(template, server) as url:
        yield url


@pytest.fixture
def empty_database_url(template: NoopExecutor, server: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of an empty database."""
    with cloned(template, server, migrated=False) as url:
        yield url


@pytest.fixture(scope="session")
def rollback_database_url(template: NoopExecutor, server: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of an empty database for this worker's tests that roll back all changes."""
    with cloned(template, server, migrated=False) as url:
        yield url
