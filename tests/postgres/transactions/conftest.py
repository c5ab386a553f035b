"""A table of things, and a database on which transactions change it."""

from collections.abc import AsyncIterator

import asyncpg
import attrs
import pytest

from service.postgres.database import Database
from service.postgres.queries import Count
from tests.support.pools import Opening
from tests.support.statements import Statements

SCHEMA = """
    create table things (thing integer primary key);
    create table parts (thing integer references things deferrable initially deferred);
    insert into things values (100), (200);
"""


@attrs.frozen
class Things:
    """A table of things, and the queries that change it."""

    admin: asyncpg.Connection
    add: Count[...]
    change: Count[...]
    orphan: Count[...]

    async def added(self) -> list[int]:
        """Return the committed things, without the initial ones."""
        return [thing for (thing,) in await self.admin.fetch("select thing from things where thing < 100 order by 1")]


@pytest.fixture
async def things(empty_database_url: str, statement: Statements) -> AsyncIterator[Things]:
    admin = await asyncpg.connect(empty_database_url)
    await admin.execute(SCHEMA)
    add: Count[...] = Count(statement("count", "insert into things values ($1)", "thing integer"), int)
    text = "update things set thing = thing where thing = $1"
    change: Count[...] = Count(statement("count", text, "thing integer"), int)
    orphan: Count[...] = Count(statement("count", "insert into parts values (-1)"), int)
    yield Things(admin, add, change, orphan)
    await admin.close()


@pytest.fixture
async def db(opening: Opening, empty_database_url: str, things: Things) -> Database:  # noqa: ARG001 - makes the tables
    return await opening(empty_database_url)
