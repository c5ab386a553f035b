"""The processes behind the listening socket, and how they end: who got in is answered.

After SIGTERM a process *drains* for DRAIN_SECONDS: readiness answers 503, so that load balancers look elsewhere, while
everything is served, each answer with ``Connection: close``. Then nobody new gets in; what is in the queue is served
for LAST seconds more; then uvicorn closes the socket and waits for what is under way, FINISH seconds at most.
"""

import asyncio
import ctypes
import gc
import importlib
import multiprocessing
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from types import FrameType
from typing import Any, ClassVar, Protocol, cast

import uvicorn
from typing_extensions import override
from uvicorn._subprocess import subprocess_started
from uvicorn.supervisors import Multiprocess, multiprocess

from service import logs
from service.deadlines import FINISH, LAST, WORKER
from service.http_protocol import HttpProtocol
from service.logs import log
from service.settings import Settings

APP = "service.app"
# For `serve` and `dev` alike.
OPTIONS: dict[str, Any] = {
    "http": HttpProtocol,
    "ws": "none",
    "lifespan": "on",
    "log_config": None,
    # TRUSTED_PROXY_HOPS decides whom to believe; uvicorn would take the entry that the client made.
    "proxy_headers": False,
    "server_header": False,
    "access_log": False,  # edge.py writes it
}


def serve(settings: Settings, door: socket.socket) -> None:
    """Serve on the bound socket `door` until a signal ends it."""
    logs.configure(settings.log_level, settings.log_format)
    # What is wrong with a file is told once here; workers would die of it one after the other.
    app = importlib.import_module(APP)
    options = OPTIONS | {"timeout_graceful_shutdown": FINISH, "timeout_worker_healthcheck": WORKER}
    log.info("serving", host=settings.address[0], port=settings.address[1], workers=settings.web_concurrency)
    if settings.web_concurrency > 1:
        config = uvicorn.Config(f"{APP}:from_environment", factory=True, workers=settings.web_concurrency, **options)
        Workers(config, door, settings.drain_seconds).run()
        return
    # workers=1: uvicorn would look for WEB_CONCURRENCY itself, and stumble over an empty one.
    server = uvicorn.Server(uvicorn.Config(app.from_environment(door=door), workers=1, **options))
    with suppress(KeyboardInterrupt):
        server.run([door])


class Worker(multiprocess.Process):
    """A worker, forked where its parent has imported all that it needs: there in 0.2 s, instead of a second of CPU."""

    forks: ClassVar = False
    # What the parent does at a signal is not for its workers: this is how it was before.
    handlers: ClassVar[dict[int, Any]] = {}

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        # Not beside another thread, such as that of METRICS_PORT: a lock that it holds would be copied, and stay so.
        if self.forks and threading.active_count() == 1:
            arguments = {"config": config, "target": self.target, "sockets": sockets, "stdin_fileno": None}
            context = multiprocessing.get_context("fork")
            self.process = context.Process(target=subprocess_started, kwargs=arguments)  # type: ignore[assignment]  # not spawned

    @override
    def start(self) -> None:
        # What comes before the worker is ready for it, waits.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, multiprocess.SIGNALS)
        super().start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @override
    def target(self, sockets: list[socket.socket] | None = None) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, multiprocess.SIGNALS)
        super().target(sockets)

    @override
    def _healthcheck(self, timeout: float) -> bool | None:
        # uvicorn would wait for the answer of a worker that dies meanwhile.
        with suppress(OSError, EOFError):
            self.parent_conn.send(b"ping")
            if self.parent_conn in wait([self.parent_conn, self.process.sentinel], timeout):
                return bool(self.parent_conn.recv())
        return None


multiprocess.Process = Worker  # type: ignore[misc]  # uvicorn makes them in four places


class Exit(threading.Event):
    """Whether to end; the death of a worker wakes who waits for that, too."""

    def __init__(self, workers: list[multiprocess.Process]) -> None:
        super().__init__()
        self._workers = workers

    @override
    def wait(self, timeout: float | None = None) -> bool:
        wait([worker.process.sentinel for worker in self._workers], timeout)
        return self.is_set()


class Workers(Multiprocess):
    """The parent of several workers: starts them, replaces those that die, and all by turns at SIGHUP."""

    def __init__(self, config: uvicorn.Config, door: socket.socket, drain_seconds: int) -> None:
        Worker.forks = sys.platform == "linux"
        Worker.handlers = {number: signal.getsignal(number) for number in multiprocess.SIGNALS}
        super().__init__(config, [door])
        self.should_exit = Exit(self.processes)
        self._drain_seconds = drain_seconds
        self._drains = False
        # What is there now, is there for good; were it looked at for garbage, each worker would have its own copy.
        gc.collect()
        gc.freeze()

    @override
    def keep_subprocess_alive(self) -> None:
        # Those that have died first: the others are asked for a sign of life, and may be busy.
        self.processes.sort(key=lambda worker: worker.process.is_alive())
        super().keep_subprocess_alive()

    @override
    def handle_hup(self) -> None:
        Worker.forks = False  # what this process has imported is old from now on
        super().handle_hup()

    @override
    def handle_term(self) -> None:
        self._drains = self._drain_seconds > 0
        super().handle_term()

    @override
    def terminate_all(self) -> None:
        super().terminate_all()
        if self._drains:
            time.sleep(self._drain_seconds)
        # While the parent kept the socket open, clients would queue up there with nobody to let them in.
        for door in self.sockets:
            shut(door)
            door.close()


class Draining(Protocol):
    """What knows whether its process is about to end."""

    draining: bool


def drain_on_sigterm(app: Draining, seconds: int, door: socket.socket | None) -> None:
    """Let SIGTERM drain this process for `seconds` before uvicorn, which runs in it, ends it.

    The parent of several workers shuts the `door` itself.
    """
    loop = asyncio.get_running_loop()
    finish = uvicorns_handler()

    def begin() -> None:
        log.info("draining", seconds=seconds)
        if door:
            loop.call_later(seconds, shut, door)
        loop.call_later(seconds + LAST, finish, signal.SIGTERM, None)

    def drain(_: int, __: FrameType | None) -> None:
        if not app.draining:  # a platform may tell all processes, and the parent then tells its workers
            app.draining = HttpProtocol.draining = True
            loop.call_soon_threadsafe(begin)

    signal.signal(signal.SIGTERM, drain)


def uvicorns_handler() -> Callable[[int, FrameType | None], object]:
    """Return what ends this process in good order, until drain_on_sigterm() takes its place."""
    return cast(Callable[[int, FrameType | None], object], signal.getsignal(signal.SIGTERM))


def end_with_parent() -> None:
    """End this worker when the process that started it is gone, even killed; it would serve on and hold the port."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop = asyncio.get_running_loop()
    finish = uvicorns_handler()

    def end(sentinel: int) -> None:
        loop.remove_reader(sentinel)  # it stays readable
        finish(signal.SIGTERM, None)  # without draining

    try:
        sentinel = os.pidfd_open(parent.pid)  # type: ignore[arg-type]  # it has been started
    except (AttributeError, OSError):  # pragma: no cover - not Linux, or a sandbox forbids it
        sentinel = parent.sentinel  # a pipe, whose other end forked workers have, too
    loop.add_reader(sentinel, end, sentinel)


def shut(door: socket.socket) -> None:
    """Let nobody new in by `door`, for all processes that share it; who is in the queue may still be accepted.

    To close it would reset those in the queue, however quickly it was emptied before. So Linux is told to drop the
    segments that open a connection (RFC 9293, 3.1: SYN is bit 1 of byte 13); their senders try again after a second,
    and are refused. Source: https://docs.kernel.org/networking/filter.html
    """
    if sys.platform != "linux":
        return  # pragma: no cover - CI runs on Linux; elsewhere those in the queue are reset
    load_byte, jump_if_set, end = 0x30, 0x45, 0x06
    steps = [(load_byte, 0, 0, 13), (jump_if_set, 0, 1, 2), (end, 0, 0, 0), (end, 0, 0, 0xFFFF)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    attach_filter = 26  # SO_ATTACH_FILTER
    with suppress(OSError):  # a sandbox may forbid it
        door.setsockopt(socket.SOL_SOCKET, attach_filter, struct.pack("HP", len(steps), ctypes.addressof(program)))
