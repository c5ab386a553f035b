"""A pool around another one."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from service.postgres.database import Executor, PoolLike, Rows
from service.postgres.queries import Query


class WrappedPool:
    """Delegates to another pool. A subclass changes in run() how each statement runs, in or outside a transaction."""

    def __init__(self, pool: PoolLike) -> None:
        """Wrap `pool`."""
        self._pool = pool
        self.timeouts = pool.timeouts

    def open(self) -> AbstractAsyncContextManager[None]:
        """Provide connections until the end of the context."""
        return self._pool.open()

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` on the other pool."""
        return await self.run(self._pool, query, arguments)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Executor]:
        """Run the statements of the context as one transaction."""
        async with self._pool.transaction() as executor:
            yield WrappedExecutor(self, executor)

    async def run(self, executor: Executor, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` on `executor`: the other pool, or a transaction of it."""
        return await executor.fetch(query, arguments)


class WrappedExecutor:
    """Runs the statements of a transaction as a WrappedPool does."""

    def __init__(self, pool: WrappedPool, executor: Executor) -> None:
        """Run each statement on `executor` through `pool`."""
        self._pool = pool
        self._executor = executor

    async def fetch(self, query: Query[..., Any], arguments: tuple[Any, ...]) -> Rows:
        """Run `query` in the transaction."""
        return await self._pool.run(self._executor, query, arguments)
