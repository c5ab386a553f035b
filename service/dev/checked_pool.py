"""Checks and reloads SQL files when they are saved while ``dev`` serves, without a restart.

A finding of ``sql check`` appears in the console, and in the response to a request that needs the query. The check uses
the database of ``dev``, without changing it. ``serve`` never reloads files, and does not start if one is invalid.
"""

import asyncio
import traceback
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import click
import psycopg
from litestar.exceptions.base_exceptions import LitestarDeprecationWarning
from litestar.types import ASGIApp, Receive, Send
from typing_extensions import override
from watchfiles import awatch

from service.migrate import status
from service.postgres import SQL, Executor, PoolLike, Query, Rows, Statement, WrappedPool, accept_broken_files
from service.problems import InternalError, OperatorError, QueryFinding
from service.settings import Settings

if TYPE_CHECKING:
    from service.sqlcheck import Finding


def create_app() -> ASGIApp:
    """Build the application from the environment, with queries that are checked while it runs.

    If that fails, print why, and return an application that responds with the reason until a file is saved. Print
    Litestar's deprecation warnings, too, because tests fail on them.
    """
    warnings.simplefilter("default", LitestarDeprecationWarning)
    accept_broken_files()
    try:
        from service import app  # noqa: PLC0415 - its features read their queries on import
        from service.server import create_worker_app  # noqa: PLC0415 - it imports service.http, which reads queries too

        def make_pool(settings: Settings) -> PoolLike:
            return CheckedPool(app.connection_pool(settings), settings.database_url)

        return create_worker_app(lambda: app.from_environment(make_pool))
    except OperatorError as error:  # such as a handler that cannot work
        click.echo(f"Error: {error}", err=True)
        return _broken_app(str(error))
    except Exception as error:  # noqa: BLE001 - whatever an edited file raises
        traceback.print_exc()
        return _broken_app(f"{type(error).__name__}: {error}")


def _broken_app(reason: str) -> ASGIApp:
    """Return an application that responds to each request with `reason`."""
    from service.http import new_request_id, problem_response  # noqa: PLC0415 - the same

    async def respond(scope: Any, receive: Receive, send: Send) -> None:  # noqa: ANN401 - Litestar's type has no lifespan
        if scope["type"] == "http":
            await problem_response(InternalError(reason), new_request_id())(scope, receive, send)

    return respond


class CheckedPool(WrappedPool):
    """Runs each query in its current version, and only if it has no findings."""

    def __init__(self, pool: PoolLike, url: str, root: Path = SQL.parent) -> None:
        """Wrap `pool`, and check the files below `root` against the database at `url`."""
        super().__init__(pool)
        self._url = url
        self._root = root
        self._findings: list[Finding] = []
        self._statements: dict[str, Statement] = {}
        self._queries: dict[str, Query[..., Any]] = {}
        self._check_lock = asyncio.Lock()
        self._stop = asyncio.Event()

    @override
    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Check now and whenever a file is saved, within the context."""
        async with super().open():
            watching = asyncio.gather(self._watch(), self.check())
            try:
                yield
            finally:
                self._stop.set()
                await watching

    @override
    async def run(self, executor: Executor, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run the current version of `query`. Raises QueryFinding."""
        latest = await self.current(query)
        try:
            return await super().run(executor, latest, arguments)
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            if not self._statements:  # the first check is not complete
                await self.check()
                await self.current(query)
            raise

    async def current(self, query: Query[..., Any]) -> Query[..., Any]:
        """Return `query` with the current content of its file. Raises QueryFinding."""
        if self._findings_of(query) or not self._latest(query).sql:
            await self.check()  # a migration may have fixed it, and only SQL files are watched
        if findings := self._findings_of(query):
            raise QueryFinding("; ".join(map(str, findings)))
        latest = self._latest(query)
        if not latest.sql:
            raise QueryFinding(latest.statement.purpose)
        return latest

    async def check(self) -> None:
        """Read and check all files; print the findings if they have changed."""
        async with self._check_lock:
            try:
                self._statements, findings, pending = await asyncio.to_thread(self._run_check)
            except (psycopg.Error, OperatorError, SyntaxError, OSError) as error:
                click.echo(f"The queries cannot be checked now: {str(error).splitlines()[0]}", err=True)
                return
            if findings != self._findings:
                lines = [click.style(str(finding), fg="red") for finding in findings]
                lines += [f"migrations/{each}.sql is not applied: restart make dev" for each in pending]
                click.echo("\n".join(lines) or f"{len(self._statements)} queries: no findings", err=True)
            self._findings = findings

    async def _watch(self) -> None:
        async for _ in awatch(self._root / "sql", stop_event=self._stop):
            await self.check()

    def _run_check(self) -> "tuple[dict[str, Statement], list[Finding], list[str]]":
        """Return all statements, the findings, and, if there are findings, the migrations that are not applied."""
        from service.sqlcheck import Tree, check_tree, connect  # noqa: PLC0415 - slow to import, but this runs in a thread

        tree = Tree.read(self._root)
        with connect(self._url) as connection:
            findings = check_tree(tree, connection)
        pending = [each.id for each in status(self._url, tree.migrations) if findings and each.state == "pending"]
        return tree.statements, findings, pending

    def _findings_of(self, query: Query[..., Any]) -> "list[Finding]":
        path = f"sql/{query.name.replace('.', '/')}.sql"
        return [finding for finding in self._findings if finding.path == path]

    def _latest(self, query: Query[..., Any]) -> Query[..., Any]:
        """Return `query` with its current statement; a changed one is a new object, which connections prepare anew."""
        statement = self._statements.get(query.name, query.statement)
        if statement == query.statement:
            return query
        known = self._queries.get(query.name)
        if known is None or known.statement != statement:
            known = self._queries[query.name] = type(query)(statement, query.row)
        return known
