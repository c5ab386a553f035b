"""The parent of several workers behind one listener: starts, watches, replaces and ends them."""

import gc
import multiprocessing
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess

from service.server.listener import stop_accepting
from service.server.slots import Slot
from service.server.worker import SIGNALS
from service.telemetry import is_log_thread, log
from service.timeouts import SupervisorTimeouts

DEFAULT_TIMEOUTS = SupervisorTimeouts()


class WorkerProcess:
    """A worker, as its parent sees it."""

    def __init__(self, process: BaseProcess, slot: Slot, now: float) -> None:
        self.process = process
        self.slot = slot
        # When it must have ended, if it was told to.
        self.deadline: float | None = None
        self._beats = 0
        self._seen = now

    @property
    def is_ready(self) -> bool:
        """Whether it has begun to serve."""
        return self.slot.beats > 0

    def is_overdue(self, now: float, timeouts: SupervisorTimeouts, *, watched: bool) -> bool:
        """Return whether it has to be killed. What it did not do while nobody `watched` does not count."""
        if self.deadline is not None:
            return now > self.deadline
        if self.slot.beats != self._beats or not watched:
            self._beats, self._seen = self.slot.beats, now
        return now - self._seen > (timeouts.heartbeat if self.is_ready else timeouts.start)

    def terminate(self, deadline: float) -> None:
        """Tell it to end."""
        self.deadline = deadline
        self.process.terminate()


class Supervisor:
    """Keeps workers running until SIGTERM or SIGINT. SIGHUP replaces them by turns, with new code and settings.

    It has no event loop and handles no signals: it waits for them, so that each is seen, whenever it comes.
    """

    def __init__(
        self,
        run: Callable[[Slot], None],
        listener: socket.socket,
        number: int,
        drain_seconds: int,
        timeouts: SupervisorTimeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        """Have `number` processes call `run`, which serves on `listener`."""
        self._run = run
        self._listener = listener
        self._number = number
        self._drain_seconds = drain_seconds
        self._timeouts = timeouts
        # At a reload, each worker may have a successor while it drains.
        slots = 3 * number
        beats, connections = multiprocessing.RawArray("l", slots), multiprocessing.RawArray("l", slots)
        self._free = [Slot(beats, connections, index) for index in range(slots)]
        self._workers: list[WorkerProcess] = []
        self._ending: list[WorkerProcess] = []
        # Those of the workers that a reload has yet to replace.
        self._outdated: list[WorkerProcess] = []
        # Forked workers share the memory of what this process has imported; after a reload, that is old.
        self._forks = self._forked = sys.platform == "linux"
        self._failures = 0
        self._retry_at = self._looked_at = time.monotonic()
        self._stop_at: float | None = None
        self._told = False

    def run(self) -> None:
        """Run the workers until the end."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        signal.setitimer(signal.ITIMER_REAL, self._timeouts.tick, self._timeouts.tick)
        # What is there now is there for good; if it were traversed for garbage, each worker would have its own copy.
        gc.collect()
        gc.freeze()
        self._look()
        while self._stop_at is None or self._ending:
            received = signal.sigwait(SIGNALS)
            if self._told or received in {signal.SIGTERM, signal.SIGINT}:
                self._end()
            elif received == signal.SIGHUP:
                self._reload()
            self._look()
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _note(self, *_: object) -> None:
        """Note a signal that came while it was not blocked."""
        self._told = True

    def _look(self) -> None:
        now = time.monotonic()
        watched, self._looked_at = now - self._looked_at < self._timeouts.heartbeat / 2, now
        for worker in [*self._workers, *self._ending]:
            if not worker.process.is_alive():
                self._bury(worker, now)
            elif worker.is_overdue(now, self._timeouts, watched=watched):
                log.error("worker does not respond", pid=worker.process.pid)
                worker.process.kill()
        if self._stop_at is None:
            self._replace(now)
        elif now >= self._stop_at and self._listener.fileno() >= 0:
            # While the parent kept it open, clients would queue up with nobody to accept them.
            stop_accepting(self._listener)
            self._listener.close()

    def _replace(self, now: float) -> None:
        """Start the workers that are missing; at a reload, one more, which then replaces an old one."""
        ready = sum(worker.is_ready for worker in self._workers)
        if ready >= self._number:
            self._failures = 0
        if self._outdated and ready > self._number:
            old = self._outdated.pop(0)
            self._workers.remove(old)
            self._ending.append(old)
            old.terminate(now + self._drain_seconds + self._timeouts.end)
        while len(self._workers) < self._number + bool(self._outdated) and now >= self._retry_at:
            if self._failures and ready < len(self._workers):
                return  # one attempt at a time
            self._start(now)

    def _start(self, now: float) -> None:
        # Not beside another thread, such as that of METRICS_PORT: a lock that it holds would be copied, and stay so.
        others = [thread for thread in threading.enumerate()[1:] if not is_log_thread(thread)]
        forks = self._forks and not others
        context = multiprocessing.get_context("fork") if forks else multiprocessing.get_context("spawn")
        if not forks:  # multiprocessing then unblocks these for a moment
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._note)
        slot = self._free.pop()
        process = context.Process(target=self._run, args=(slot,))
        process.start()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._workers.append(WorkerProcess(process, slot, now))

    def _bury(self, worker: WorkerProcess, now: float) -> None:
        """Note that a worker has ended, and when to start another one."""
        was_ready, code = worker.is_ready, worker.process.exitcode or 0
        worker.slot.clear()
        self._free.append(worker.slot)
        if worker in self._ending:
            self._ending.remove(worker)
            return
        self._workers.remove(worker)
        how = {"pid": worker.process.pid, "exit": signal.Signals(-code).name if code < 0 else code}
        self._outdated = [each for each in self._outdated if each is not worker]
        if was_ready:
            log.error("worker died", **how)
        elif self._outdated:
            log.error("reload given up: the old workers serve on, because the new one cannot start", **how)
            self._outdated.clear()
            self._forks = self._forked
        elif now >= self._retry_at:
            pause = min(self._timeouts.first_retry * 2**self._failures, self._timeouts.last_retry)
            self._failures += 1
            self._retry_at = now + pause
            log.error("worker cannot start: it is tried again", **how, seconds=pause)

    def _reload(self) -> None:
        if self._stop_at is None and not self._outdated:
            log.info("reloading: workers are replaced by turns")
            self._outdated = list(self._workers)
            self._forked, self._forks = self._forks, False

    def _end(self) -> None:
        if self._stop_at is not None:  # a platform may send it twice
            return
        now = time.monotonic()
        self._stop_at = now + self._drain_seconds
        signal.setitimer(signal.ITIMER_REAL, self._timeouts.ending_tick, self._timeouts.ending_tick)
        for worker in self._workers:
            worker.terminate(self._stop_at + self._timeouts.end)
        self._ending += self._workers
        self._workers.clear()
