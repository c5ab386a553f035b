"""SQL files that are edited while ``dev`` serves: each is read again and checked as it is saved, without a restart.

A finding of ``sql check`` appears in the console, and is what a request gets that needs the query. The check is made on
the database of ``dev`` itself, which it does not change. ``serve`` knows nothing of all this: there, what is wrong with
a file stops the start, and nothing is read again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import psycopg
from watchfiles import awatch

from service.postgres import SQL, Connections, Executor, Query, Rows, Statement, accept_broken_files
from service.problems import QueryFinding
from service.settings import Settings

if TYPE_CHECKING:
    from service.server import Application
    from service.sqlcheck import Finding


def create_app() -> "Application":
    """Make the service that the environment describes, with queries that are checked while it runs."""
    accept_broken_files()
    from service import app  # noqa: PLC0415 - its features read their queries when they are imported
    from service.server import create_worker_app  # noqa: PLC0415 - so does the room http, which it imports

    def connect(settings: Settings) -> Connections:
        return Checked(app.connection_pool(settings), settings.database_url)

    return create_worker_app(lambda: app.from_environment(connect))


class CheckedExecutor:
    """Runs the statements of a transaction, each as its file is now."""

    def __init__(self, checked: "Checked", executor: Executor) -> None:
        self._checked = checked
        self._executor = executor

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run the query as its file is now. Raises QueryFinding."""
        return await self._executor.fetch(await self._checked.checked(query), arguments)


class Checked:
    """Lends the connections of another to queries that have no findings, and runs their files as they are now."""

    def __init__(self, lent: Connections, url: str, root: Path = SQL.parent) -> None:
        """Check the checkout at `root` on the database at `url`."""
        self._lent = lent
        self._url = url
        self._root = root
        self._found: list[Finding] = []
        self._statements: dict[str, Statement] = {}
        self._queries: dict[str, Query[..., Any]] = {}
        self._one_check = asyncio.Lock()
        self._stop = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Check once, and whenever a file is saved, until the end of the context."""
        async with self._lent.open():
            watching = asyncio.gather(self._watch(), self.check())
            try:
                yield
            finally:
                self._stop.set()
                await watching

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Executor]:
        """Run the statements of the context as one transaction."""
        async with self._lent.transaction() as executor:
            yield CheckedExecutor(self, executor)

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run the query as its file is now. Raises QueryFinding."""
        return await self._lent.fetch(await self.checked(query), arguments)

    async def checked(self, query: Query[..., Any]) -> Query[..., Any]:
        """Return the query as its file is now. Raises QueryFinding."""
        if self._findings(query) or not self._fresh(query).sql:
            await self.check()  # it may be mended by what nobody watches: a migration
        if found := self._findings(query):
            raise QueryFinding("; ".join(map(str, found)))
        fresh = self._fresh(query)
        if not fresh.sql:
            raise QueryFinding(fresh.statement.purpose)
        return fresh

    async def check(self) -> None:
        """Read and check all files, and tell what has changed since."""
        async with self._one_check:
            try:
                self._statements, found = await asyncio.to_thread(self._look)
            except (psycopg.Error, SyntaxError) as error:
                click.echo(f"The queries cannot be checked now: {str(error).splitlines()[0]}", err=True)
                return
            if found != self._found:
                lines = [click.style(str(finding), fg="red") for finding in found]
                click.echo("\n".join(lines) or f"{len(self._statements)} queries: no findings", err=True)
            self._found = found

    async def _watch(self) -> None:
        async for _ in awatch(self._root / "sql", stop_event=self._stop):
            await self.check()

    def _look(self) -> "tuple[dict[str, Statement], list[Finding]]":
        from service.sqlcheck import Tree, check_tree, connect  # noqa: PLC0415 - takes 0.2 s, for which nobody waits in this thread

        tree = Tree.read(self._root)
        with connect(self._url) as connection:
            return tree.statements, check_tree(tree, connection)

    def _findings(self, query: Query[..., Any]) -> "list[Finding]":
        path = f"sql/{query.name.replace('.', '/')}.sql"
        return [finding for finding in self._found if finding.path == path]

    def _fresh(self, query: Query[..., Any]) -> Query[..., Any]:
        """Return the query with its statement as it is now: another object, for a connection prepares each once."""
        statement = self._statements.get(query.name, query.statement)
        if statement == query.statement:
            return query
        known = self._queries.get(query.name)
        if known is None or known.statement != statement:
            known = self._queries[query.name] = type(query)(statement, query.row)
        return known
