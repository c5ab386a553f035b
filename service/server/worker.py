"""The life cycle of one process that serves, alone or beside others.

After SIGTERM it *drains* for DRAIN_SECONDS: readiness returns 503, so that load balancers look elsewhere, while
everything is served, each response with ``Connection: close``. Then new connections are refused, by the process itself
or by the parent of several, and the backlog is served. Then the listener is closed, and requests under way end.
"""

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol, TypeAlias

import click
import uvicorn
from typing_extensions import override

from service.server.acceptor import Acceptor
from service.server.connection import DEFAULT_TIMEOUTS
from service.server.listener import stop_accepting
from service.server.protocol import LimitedHttpProtocol
from service.server.slots import Slot
from service.telemetry import close_log, log
from service.timeouts import ClientTimeouts, ShutdownTimeouts

# For `serve` and `dev` alike.
OPTIONS: dict[str, Any] = {
    "http": LimitedHttpProtocol,
    "ws": "none",
    "lifespan": "on",
    "log_config": None,
    # TRUSTED_PROXY_HOPS decides which proxies to believe; uvicorn would take the entry that the client made.
    "proxy_headers": False,
    "server_header": False,
    "access_log": False,  # http/middleware.py writes it
}
# What the parent of several workers waits for; its workers start with these blocked, until they can handle them.
SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM}
REFUSED = "SIGHUP is ignored: with one worker, start another instance, and end this one"
# Ticks of uvicorn's main loop, ten a second, between two heartbeats.
TICKS = 5


class Application(Protocol):
    """An ASGI application that can drain, such as a subclass of Litestar."""

    draining: bool
    on_startup: list[Any]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own
        """Answer a request, or run the lifespan (ASGI)."""


AppFactory: TypeAlias = Callable[[], Application]


class Server(uvicorn.Server):
    """uvicorn's server, which drains, accepts connections in turn with others, and shows that its event loop runs."""

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        slot: Slot | None = None,
        drain_seconds: int = 0,
        timeouts: ClientTimeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        """Serve on the bound socket `listener`: alone, or beside the processes that have the other slots."""
        super().__init__(config)
        self._listener = listener
        self._alone = slot is None
        self._slot = slot or Slot([0], [0], 0)
        self._drain_seconds = drain_seconds
        self._timeouts = timeouts
        self._drains = False

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self._loop = asyncio.get_running_loop()
        await super().startup([])
        if self._alone:
            self._loop.add_signal_handler(signal.SIGHUP, log.warning, REFUSED)
        connections = self.server_state.connections
        self._acceptor = Acceptor(self._listener, self._make_protocol, connections, self._slot)  # type: ignore[arg-type]  # all are made here

    def _make_protocol(self) -> LimitedHttpProtocol:
        return LimitedHttpProtocol(self.config, self.server_state, self.lifespan.state, timeouts=self._timeouts)

    @override
    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS == 0:
            self._slot.beat(self._acceptor.number)
        return await super().on_tick(counter)

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        parent = multiprocessing.parent_process()
        is_orphan = parent is not None and parent.pid != os.getppid()
        if sig != signal.SIGTERM or not self.started or not self._drain_seconds or is_orphan:
            super().handle_exit(sig, frame)
        elif not self._drains:  # a platform may signal all processes, and the parent then its workers
            self._drains = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        seconds = self._drain_seconds
        log.info("draining", seconds=seconds)
        self.config.app.draining = LimitedHttpProtocol.draining = True  # type: ignore[union-attr]  # an Application
        if self._alone:
            self._loop.call_later(seconds, stop_accepting, self._listener)
        self._loop.call_later(seconds + ShutdownTimeouts().backlog, super().handle_exit, signal.SIGTERM, None)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._acceptor.stop()
        self._listener.close()
        await super().shutdown()


def serve_alone(app: Application, listener: socket.socket, drain_seconds: int, slot: Slot | None = None) -> None:
    """Serve `app` in this process until a signal ends it."""
    # workers=1: otherwise uvicorn would read WEB_CONCURRENCY itself, and fail on an empty one.
    config = uvicorn.Config(app, workers=1, timeout_graceful_shutdown=ShutdownTimeouts().requests, **OPTIONS)
    with suppress(KeyboardInterrupt):
        Server(config, listener, slot, drain_seconds).run()


def run_worker(
    configure: Callable[[], None], factory: AppFactory, listener: socket.socket, drain_seconds: int, slot: Slot
) -> None:
    """Serve as one of several workers, in a process of its own; log one sentence if that is not possible.

    `configure` sets up the log: the process does not inherit that unless it was forked.
    """
    configure()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it is for the parent
    try:
        app = create_worker_app(factory)
        serve_alone(app, listener, drain_seconds, slot)
    except click.ClickException as error:
        log.error("worker cannot start", reason=error.message)
        sys.exit(1)
    finally:
        close_log()  # a forked process runs no exit handlers


def create_worker_app(factory: AppFactory) -> Application:
    """Make the application, and prepare its process for serving when it starts."""
    app = factory()

    async def start() -> None:
        # Without this, each garbage collection that a large page causes would traverse all modules again.
        gc.collect()
        gc.freeze()
        end_with_parent()

    app.on_startup.append(start)
    return app


def end_with_parent() -> None:
    """End this worker, without draining, when its parent is gone, even killed; else it would hold the port."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop = asyncio.get_running_loop()

    def end(sentinel: int) -> None:
        loop.remove_reader(sentinel)  # it stays readable
        signal.raise_signal(signal.SIGTERM)

    try:
        sentinel = os.pidfd_open(parent.pid)  # type: ignore[arg-type]  # it has been started
    except (AttributeError, OSError):  # pragma: no cover - not Linux, or a sandbox forbids it
        sentinel = parent.sentinel  # a pipe, whose other end forked workers have, too
    loop.add_reader(sentinel, end, sentinel)
