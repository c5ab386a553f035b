"""A primary and a standby, and what reads from them."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

from service.postgres.database import Database
from service.postgres.pool import Pool
from service.postgres.queries import Many
from service.postgres.replica import Replicated, Standby
from service.telemetry.metrics import NO_ROUTE, Layout, Metrics
from service.telemetry.prometheus import as_text
from tests.support.postgres import Postgres, create_cluster
from tests.support.statements import Statements

ASKED = "system.find_position"


@attrs.frozen
class Answer:
    """Whether a standby answered, and how many things it knows of."""

    by_standby: bool
    things: int


Read = Many[..., Answer]


@attrs.frozen
class Pair:
    """A primary and what follows it."""

    primary: Postgres
    standby: Postgres


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Return a folder for clusters, whose owner may pass."""
    with tempfile.TemporaryDirectory(prefix="replica-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def pair(folder: Path) -> Iterator[Pair]:
    """Return two servers, with a table to write to."""
    primary = Postgres(folder / "primary", fsync="off")
    create_cluster(primary.data)
    primary.start()
    primary.ask("create table things as select 1 as thing; create unlogged table fast as select 1 as thing")
    primary.ask("create role stranger login; revoke execute on function pg_control_system() from public")
    primary.ask("grant select on things to stranger")
    standby = primary.standby(folder / "standby")
    standby.start()
    yield Pair(primary, standby)
    standby.stop()
    primary.stop()


@attrs.frozen
class Reader:
    """Reads, and what is known of that."""

    db: Database
    connections: Replicated
    metrics: Metrics
    directory: Path

    async def used(self) -> None:
        """Wait until the standby is used."""
        await self.until(bool)

    async def looked(self) -> None:
        """Wait until the standby has been looked at."""
        await self.until(lambda used: used is not None)

    async def until(self, condition: Callable[[bool | None], bool]) -> None:
        """Wait until `condition` holds for whether the standby is used."""
        async with asyncio.timeout(10):
            while not condition(self.connections.used):  # noqa: ASYNC110 - a state, of which nobody is told
                await asyncio.sleep(0.005)

    def count(self, sample: str) -> float:
        """Return a number of the metrics."""
        self.connections.measure(self.metrics)
        text = as_text(self.directory, "text/plain")[0].decode()
        return float(re.findall(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)[0])

    @property
    def asked(self) -> float:
        """How often the primary was asked how far it is."""
        return self.count(f'sql_query_duration_seconds_count{{query="{ASKED}"}}')


Opening = Callable[..., Awaitable[Reader]]


@pytest.fixture
async def opening(tmp_path: Path) -> AsyncIterator[Opening]:
    """Return what reads from a primary and a standby, by their URLs."""
    async with AsyncExitStack() as stack:

        async def opening(primary: str, standby: str, *, max_lag: int = 500) -> Reader:
            connections = Replicated(Pool(primary, size=4), Standby(standby, max_lag=max_lag, size=4))
            metrics = Metrics(tmp_path, Layout((ASKED,), (NO_ROUTE,)))
            stack.callback(metrics.close)
            connections.metrics = metrics
            await stack.enter_async_context(connections.open())
            return Reader(Database(connections), connections, metrics, tmp_path)

        yield opening


@pytest.fixture
async def reader(opening: Opening, pair: Pair) -> Reader:
    """Return what reads from the two servers, when it does so from the standby."""
    reader = await opening(pair.primary.url, pair.standby.url)
    await reader.used()
    return reader


@pytest.fixture(scope="module")
def failed_over(pair: Pair, folder: Path) -> Iterator[Pair]:
    """Return a third server, which followed as well and takes writes now, and a fourth that follows this one."""
    promoted = pair.primary.standby(folder / "promoted")
    promoted.start()
    follower = promoted.standby(folder / "follower")
    follower.start()
    promoted.promote()
    yield Pair(promoted, follower)
    follower.stop()
    promoted.stop()


@pytest.fixture
def statement(tmp_path: Path) -> Statements:
    return Statements(tmp_path)


@pytest.fixture
def read(statement: Statements) -> Read:
    """Return the read that tells who answered."""
    return marked(statement, "select pg_is_in_recovery(), count(*)::integer from things")


def marked(statement: Statements, sql: str) -> Read:
    """Return a read that a standby may answer."""
    return Many(statement("many Answer\n-- replica: ok", sql), Answer)


def events(logged: list[Any]) -> list[tuple[str, str]]:
    """Return what the log was told of the standby, without the numbers."""
    return [(line["event"], re.sub(r"\d+", "N", line.get("reason", ""))) for line in logged]
