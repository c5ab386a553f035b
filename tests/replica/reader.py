"""A primary, a replica, and a reader of both."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs

from service.postgres.database import Database
from service.postgres.queries import Many
from service.replica import ReplicaRouter
from service.telemetry.metrics import sample_gauges
from service.telemetry.prometheus import render_metrics
from tests.support.postgres import Postgres
from tests.support.statements import Statements

ASKED = "system.find_position"


@attrs.frozen
class ReadResult:
    """Whether a replica answered, and the number of rows it counted."""

    by_replica: bool
    things: int


Read = Many[..., ReadResult]


@attrs.frozen
class Pair:
    """A primary and its replica."""

    primary: Postgres
    replica: Postgres


@attrs.frozen
class Reader:
    """Runs reads, and shows how they were answered."""

    db: Database
    router: ReplicaRouter
    directory: Path

    async def wait_until_used(self) -> None:
        """Wait until the replica is in use."""
        await self.until(bool)

    async def wait_until_checked(self) -> None:
        """Wait until the replica has been checked."""
        await self.until(lambda used: used is not None)

    async def until(self, condition: Callable[[bool | None], bool]) -> None:
        """Wait until `condition` is true of `router.uses_replica`."""
        async with asyncio.timeout(10):
            while not condition(self.router.uses_replica):  # noqa: ASYNC110 - the state has no event
                await asyncio.sleep(0.005)

    def count(self, sample: str) -> float:
        """Return the value of a counter."""
        sample_gauges()
        text = render_metrics(self.directory, "text/plain")[0].decode()
        return float(re.findall(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)[0])

    @property
    def asked(self) -> float:
        """The number of queries for the primary's position."""
        return self.count(f'sql_query_duration_seconds_count{{query="{ASKED}"}}')


Opening = Callable[..., Awaitable[Reader]]


def marked(statement: Statements, sql: str) -> Read:
    """Return a read that a replica can answer."""
    return Many(statement("many ReadResult\n-- replica: ok", sql), ReadResult)


def events(logged: list[Any]) -> list[tuple[str, str]]:
    """Return the log events about the replica, without the numbers."""
    return [(line["event"], re.sub(r"\d+", "N", line.get("reason", ""))) for line in logged]
