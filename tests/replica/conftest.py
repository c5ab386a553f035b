"""A primary and a replica, and readers of both."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from service.postgres.database import Database
from service.postgres.pool import Pool
from service.replica import ReplicaPool, ReplicaRouter
from service.telemetry import recorder
from service.timeouts import DATABASE_TIMEOUTS, DatabaseTimeouts
from tests.replica.reader import ASKED, Opening, Pair, Read, Reader, marked
from tests.support.postgres import Postgres, create_cluster
from tests.support.statements import Statements


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Return a folder for clusters that PostgreSQL's user can enter."""
    with tempfile.TemporaryDirectory(prefix="replica-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def pair(folder: Path) -> Iterator[Pair]:
    """Return two servers with a table."""
    primary = Postgres(folder / "primary", fsync="off")
    create_cluster(primary.data)
    primary.start()
    primary.ask("create table things as select 1 as thing; create unlogged table fast as select 1 as thing")
    primary.ask("create role stranger login; revoke execute on function pg_control_system() from public")
    primary.ask("grant select on things to stranger")
    replica = primary.replica(folder / "replica")
    replica.start()
    yield Pair(primary, replica)
    replica.stop()
    primary.stop()


@pytest.fixture
async def opening(tmp_path: Path) -> AsyncIterator[Opening]:
    """Return a function that opens a reader of a primary and a replica, given their URLs."""
    async with AsyncExitStack() as stack:

        async def opening(
            primary: str, replica: str, *, max_lag: int = 500, timeouts: DatabaseTimeouts = DATABASE_TIMEOUTS
        ) -> Reader:
            router = ReplicaRouter(
                Pool(primary, size=4, timeouts=timeouts),
                ReplicaPool(replica, max_lag=max_lag, size=4, timeouts=timeouts),
            )
            recorder.start(tmp_path, [ASKED], [])
            stack.callback(recorder.stop)
            await stack.enter_async_context(router.open())
            return Reader(Database(router), router, tmp_path)

        yield opening


@pytest.fixture
async def reader(opening: Opening, pair: Pair) -> Reader:
    """Return a reader of both servers that uses the replica."""
    reader = await opening(pair.primary.url, pair.replica.url)
    await reader.wait_until_used()
    return reader


@pytest.fixture(scope="module")
def failed_over(pair: Pair, folder: Path) -> Iterator[Pair]:
    """Return a third server, a promoted replica, and a fourth that follows it."""
    promoted = pair.primary.replica(folder / "promoted")
    promoted.start()
    follower = promoted.replica(folder / "follower")
    follower.start()
    promoted.promote()
    yield Pair(promoted, follower)
    follower.stop()
    promoted.stop()


@pytest.fixture
def read(statement: Statements) -> Read:
    """Return a read whose result shows which server answered."""
    return marked(statement, "select pg_is_in_recovery(), count(*)::integer from things")
