"""Several workers behind one listening socket, and the parent that starts, replaces and ends them."""

import gc
import multiprocessing
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any, ClassVar

import uvicorn
from typing_extensions import override
from uvicorn._subprocess import subprocess_started
from uvicorn.supervisors import Multiprocess, multiprocess

from service.server.shutdown import stop_accepting


class WorkerProcess(multiprocess.Process):
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


multiprocess.Process = WorkerProcess  # type: ignore[misc]  # uvicorn makes them in four places


class Exit(threading.Event):
    """Whether to end; the death of a worker wakes who waits for that, too."""

    def __init__(self, workers: list[multiprocess.Process]) -> None:
        super().__init__()
        self._workers = workers

    @override
    def wait(self, timeout: float | None = None) -> bool:
        # Else the listener would accept for half a second more, while workers that were told themselves go on to end.
        if not self.is_set():
            wait([worker.process.sentinel for worker in self._workers], timeout)
        return self.is_set()


class Supervisor(Multiprocess):
    """The parent of several workers: starts them, replaces those that die, and all by turns at SIGHUP."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, drain_seconds: int) -> None:
        WorkerProcess.forks = sys.platform == "linux"
        WorkerProcess.handlers = {number: signal.getsignal(number) for number in multiprocess.SIGNALS}
        super().__init__(config, [listener])
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
        WorkerProcess.forks = False  # what this process has imported is old from now on
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
        for listener in self.sockets:
            stop_accepting(listener)
            listener.close()
