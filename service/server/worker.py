"""The life cycle of one serving process, either the only one or one of several workers.

After SIGTERM it *drains* for DRAIN_SECONDS: readiness returns 503, so that load balancers send no more requests, but
all requests are served, with ``Connection: close``. Then the process, or the parent of several workers, refuses new
connections, and the backlog is served. Finally the listener is closed, and requests in progress finish.
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
from contextvars import Context
from types import FrameType
from typing import Any, TypeAlias

import uvicorn
from typing_extensions import override

from service.http import Application
from service.problems import OperatorError
from service.server.acceptor import Acceptor
from service.server.listener import stop_accepting
from service.server.protocol import LimitedHttpProtocol
from service.server.slots import Slot
from service.settings import Settings
from service.telemetry import close_log, configure_logging, log
from service.timeouts import CLIENT_TIMEOUTS, SHUTDOWN_TIMEOUTS, ClientTimeouts

# uvicorn's options, for `serve` and `dev`. In `dev`, uvicorn makes the protocols itself, and no Server is used.
OPTIONS: dict[str, Any] = {
    "http": LimitedHttpProtocol,
    "ws": "none",
    "lifespan": "on",
    "log_config": None,
    # TRUSTED_PROXY_HOPS decides which proxies to trust; uvicorn would trust an address that the client sent.
    "proxy_headers": False,
    "server_header": False,
    "access_log": False,  # http/middleware.py writes the access log
}
# The signals that the parent of several workers waits for. Workers start with these blocked, and unblock them as soon
# as they can handle them.
SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM}
SIGHUP_IGNORED = "SIGHUP is ignored with one worker: to reload, start a second instance and stop this one"
# uvicorn's main loop ticks ten times a second: a heartbeat every half second.
TICKS_PER_HEARTBEAT = 5


AppFactory: TypeAlias = Callable[[], Application]


class Server(uvicorn.Server):
    """uvicorn's server, extended: it drains, shares connections with other processes, and sends heartbeats."""

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        slot: Slot | None = None,
        drain_seconds: int = 0,
        timeouts: ClientTimeouts = CLIENT_TIMEOUTS,
    ) -> None:
        """Create a server for the bound socket `listener`; without a `slot`, it is the only process."""
        super().__init__(config)
        self._listener = listener
        self._is_only_process = slot is None
        self._slot = slot or Slot([0], [0], 0)  # private: nothing reads it
        self._drain_seconds = drain_seconds
        self._timeouts = timeouts
        self.is_draining = False

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        if self._is_only_process:
            self._loop.add_signal_handler(signal.SIGHUP, log.warning, SIGHUP_IGNORED)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        await super().startup([])
        connections = self.server_state.connections
        try:
            self._acceptor = Acceptor(self._listener, self._make_protocol, connections, self._slot)  # type: ignore[arg-type]  # _make_protocol() makes them all
        except OperatorError:
            await self.lifespan.shutdown()
            raise

    def _make_protocol(self) -> LimitedHttpProtocol:
        protocol = LimitedHttpProtocol(self.config, self.server_state, self.lifespan.state, timeouts=self._timeouts)
        protocol.is_draining = self.is_draining
        return protocol

    @override
    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_PER_HEARTBEAT == 0:
            self._slot.beat(self._acceptor.connection_count)
        return await super().on_tick(counter)

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        parent = multiprocessing.parent_process()
        is_orphan = parent is not None and parent.pid != os.getppid()
        if sig != signal.SIGTERM or not self.started or not self._drain_seconds or is_orphan:
            super().handle_exit(sig, frame)
        elif not self.is_draining:  # some platforms signal all processes, so the parent's signal is the second one
            self.is_draining = True
            self._loop.call_soon_threadsafe(self._drain, context=Context())  # not that of the interrupted request

    def _drain(self) -> None:
        seconds = self._drain_seconds
        log.info("draining", seconds=seconds)
        self._slot.leave()
        self.config.app.is_draining = True  # type: ignore[union-attr]  # it is an Application
        for connection in self.server_state.connections:
            connection.is_draining = True  # type: ignore[union-attr]  # _make_protocol() makes them all
        if self._is_only_process:
            self._loop.call_later(seconds, stop_accepting, self._listener)
        self._loop.call_later(seconds + SHUTDOWN_TIMEOUTS.backlog, super().handle_exit, signal.SIGTERM, None)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._acceptor.stop()
        self._listener.close()
        await super().shutdown()


def run_server(settings: Settings, app: Application, listener: socket.socket, slot: Slot | None = None) -> None:
    """Serve `app` in this process until a signal ends it; without a `slot`, as the only process."""
    # Without workers=1, uvicorn would read WEB_CONCURRENCY itself, and fail if it is empty.
    config = uvicorn.Config(app, workers=1, timeout_graceful_shutdown=SHUTDOWN_TIMEOUTS.requests, **OPTIONS)
    with suppress(KeyboardInterrupt):
        Server(config, listener, slot, settings.drain_seconds).run()


def run_worker(settings: Settings, factory: AppFactory, listener: socket.socket, slot: Slot) -> None:
    """Run a worker; the entry point of its process. `settings` are those with which the parent started.

    If the application cannot be created, log why, and exit with status 1.
    """
    configure_logging(settings.log_level, settings.log_format)  # a spawned process does not inherit it
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # only the parent reloads
    try:
        run_server(settings, create_worker_app(factory), listener, slot)
    except OperatorError as error:
        log.error("worker cannot start", reason=str(error))
        sys.exit(1)
    finally:
        close_log()  # a forked process runs no exit handlers


def create_worker_app(factory: AppFactory) -> Application:
    """Create the application. At startup, it freezes the garbage collector, and watches the parent process."""
    app = factory()

    async def start() -> None:
        # Otherwise each garbage collection, such as after a large response, would traverse all modules again.
        gc.collect()
        gc.freeze()
        exit_with_parent()

    app.on_startup.append(start)
    return app


def exit_with_parent() -> None:
    """Stop this worker without draining when its parent ends, even by SIGKILL: otherwise it keeps the port in use."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop = asyncio.get_running_loop()

    def on_parent_end(sentinel: int) -> None:
        loop.remove_reader(sentinel)  # it stays readable
        signal.raise_signal(signal.SIGTERM)

    try:
        sentinel = os.pidfd_open(parent.pid)  # type: ignore[arg-type]  # a started process has a pid
    except (AttributeError, OSError):  # pragma: no cover - not Linux, or a sandbox forbids it
        sentinel = parent.sentinel  # a pipe; workers forked later can keep it open
    loop.add_reader(sentinel, on_parent_end, sentinel)
