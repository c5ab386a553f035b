"""The parent of several workers behind one listener: starts, watches, replaces and stops them."""

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
from service.timeouts import SUPERVISOR_TIMEOUTS, SupervisorTimeouts


class WorkerProcess:
    """A worker as its parent sees it."""

    def __init__(self, process: BaseProcess, slot: Slot, now: float) -> None:
        self.process = process
        self.slot = slot
        # When to kill it (monotonic seconds); None until it is told to stop.
        self.deadline: float | None = None
        self._heartbeats = 0
        self._seen_at = now

    @property
    def is_ready(self) -> bool:
        """Whether it serves."""
        return self.slot.heartbeats > 0

    def is_overdue(self, now: float, timeouts: SupervisorTimeouts, *, watched: bool) -> bool:
        """Whether it must be killed. Time in which the parent itself was stalled (not `watched`) does not count."""
        if self.deadline is not None:
            return now > self.deadline
        if self.slot.heartbeats != self._heartbeats or not watched:
            self._heartbeats, self._seen_at = self.slot.heartbeats, now
        return now - self._seen_at > (timeouts.heartbeat if self.is_ready else timeouts.start)

    def terminate(self, deadline: float) -> None:
        """Tell it to stop; it is killed if it still runs at `deadline` (monotonic seconds)."""
        self.deadline = deadline
        self.process.terminate()


class Supervisor:
    """Keeps workers running until SIGTERM or SIGINT. SIGHUP replaces them one at a time.

    Workers that start after a SIGHUP load the new code, and read secrets again from their files, but have the parent's
    environment. The parent has no event loop and no signal handlers: it waits with sigwait(), which misses no signal.
    """

    def __init__(
        self,
        run: Callable[[Slot], None],
        listener: socket.socket,
        number: int,
        drain_seconds: int,
        timeouts: SupervisorTimeouts = SUPERVISOR_TIMEOUTS,
    ) -> None:
        """Prepare `number` processes that each call `run`, which serves on `listener`."""
        self._run = run
        self._listener = listener
        self._number = number
        self._drain_seconds = drain_seconds
        self._timeouts = timeouts
        # Enough for the workers and for those of two reloads that still drain; a third reload waits for a free slot.
        slots = 3 * number
        heartbeats, connections = multiprocessing.RawArray("l", slots), multiprocessing.RawArray("l", slots)
        self._free_slots = [Slot(heartbeats, connections, index) for index in range(slots)]
        self._workers: list[WorkerProcess] = []
        self._stopping: list[WorkerProcess] = []
        # The workers that a reload has yet to replace.
        self._outdated: list[WorkerProcess] = []
        # Forked workers share the memory of the modules imported here, which are outdated after a reload.
        self._forks = self._forked_before_reload = sys.platform == "linux"
        # Seconds before the attempt after the last failure; 0 if all workers serve.
        self._retry_pause = 0.0
        self._retry_at = self._checked_at = time.monotonic()
        self._stop_at: float | None = None
        self._stop_requested = False

    def run(self) -> None:
        """Run the workers until a signal ends them. An unexpected exception stops them too; the status is then 1."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        signal.setitimer(signal.ITIMER_REAL, self._timeouts.tick, self._timeouts.tick)
        if self._forks:
            import uvloop  # noqa: F401, PLC0415 - each worker would import it, into memory of its own; not on Windows
        # Exempt the objects that exist now from garbage collection, which would copy their memory into each worker.
        gc.collect()
        gc.freeze()
        try:
            self._supervise()
        except Exception as error:  # noqa: BLE001 - whatever it is, workers without a parent must not go on
            log.error("parent failed; stopping", exc_info=error)
            self._stop()
            self._supervise()
            sys.exit(1)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            # If the stop failed, some are left, and Python would wait for them at exit, with signals blocked.
            for process in multiprocessing.active_children():
                process.kill()

    def _supervise(self) -> None:
        self._check_workers()
        while self._stop_at is None or self._stopping:
            received = signal.sigwait(SIGNALS)
            if self._stop_requested or received in {signal.SIGTERM, signal.SIGINT}:
                self._stop()
            elif received == signal.SIGHUP:
                self._reload()
            self._check_workers()

    def _request_stop(self, *_: object) -> None:
        """Handle a signal that arrives while it is not blocked."""
        self._stop_requested = True

    def _check_workers(self) -> None:
        now = time.monotonic()
        watched, self._checked_at = now - self._checked_at < self._timeouts.heartbeat / 2, now
        for worker in [*self._workers, *self._stopping]:
            if not worker.process.is_alive():
                self._reap(worker, now)
            elif worker.is_overdue(now, self._timeouts, watched=watched):
                log.error("worker does not respond", pid=worker.process.pid)
                worker.process.kill()
        if self._stop_at is None:
            self._replace(now)
        elif now >= self._stop_at:
            # If the parent kept it open, clients would queue in its backlog, and no worker would accept them.
            stop_accepting(self._listener)
            self._listener.close()

    def _replace(self, now: float) -> None:
        """Start the missing workers; during a reload, one additional worker, which then replaces an old one."""
        ready = sum(worker.is_ready for worker in self._workers)
        if ready >= self._number:
            self._retry_pause = 0.0
        if self._outdated and ready > self._number:
            old = self._outdated.pop(0)
            self._workers.remove(old)
            self._stopping.append(old)
            old.terminate(now + self._drain_seconds + self._timeouts.end)
        needed = self._number + bool(self._outdated)
        while len(self._workers) < needed and self._free_slots and now >= self._retry_at:
            if self._retry_pause and ready < len(self._workers):
                return  # after a failure, one worker at a time
            self._start(now)

    def _start(self, now: float) -> None:
        # fork() would copy a lock that another thread holds, such as that of METRICS_PORT, and it would stay locked.
        other_threads = [thread for thread in threading.enumerate()[1:] if not is_log_thread(thread)]
        forks = self._forks and not other_threads
        context = multiprocessing.get_context("fork") if forks else multiprocessing.get_context("spawn")
        if not forks:  # multiprocessing unblocks these for a moment
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._request_stop)
        slot = self._free_slots.pop()
        process = context.Process(target=self._run, args=(slot,))
        try:
            process.start()
        except OSError as error:  # no memory, or too many processes or open files
            self._free_slots.append(slot)
            self._forks = False  # multiprocessing leaves the pipes of a failed fork() open
            self._start_failed(now, reason=error.strerror or str(error))
        else:
            self._workers.append(WorkerProcess(process, slot, now))
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def _reap(self, worker: WorkerProcess, now: float) -> None:
        """Forget a worker that has ended. If it was not told to stop, log that, and schedule its successor."""
        was_ready, code = worker.is_ready, worker.process.exitcode or 0
        worker.slot.clear()
        self._free_slots.append(worker.slot)
        if worker in self._stopping:
            self._stopping.remove(worker)
            return
        self._workers.remove(worker)
        fields = {"pid": worker.process.pid, "exit": signal.Signals(-code).name if code < 0 else code}
        self._outdated = [each for each in self._outdated if each is not worker]
        if was_ready:
            log.error("worker died", **fields)
        else:
            self._start_failed(now, **fields)

    def _start_failed(self, now: float, **fields: object) -> None:
        """Give up the reload. If there is none, schedule the next attempt, unless one is already scheduled."""
        if self._outdated:
            log.error("reload given up: the new worker cannot start; the old ones keep serving", **fields)
            self._outdated.clear()
            self._forks = self._forked_before_reload
        elif now >= self._retry_at:
            self._retry_pause = min(self._retry_pause * 2 or self._timeouts.first_retry, self._timeouts.last_retry)
            self._retry_at = now + self._retry_pause
            log.error("worker cannot start; retrying", **fields, seconds=self._retry_pause)

    def _reload(self) -> None:
        """Replace all workers, even those that an unfinished reload has started: their code can be outdated as well."""
        if self._stop_at is not None:
            return
        log.info("reloading: replacing workers one at a time")
        if not self._outdated:
            self._forked_before_reload = self._forks
        self._outdated, self._forks = list(self._workers), False

    def _stop(self) -> None:
        if self._stop_at is not None:  # platforms can signal more than once
            return
        now = time.monotonic()
        self._stop_at = now + self._drain_seconds
        signal.setitimer(signal.ITIMER_REAL, self._timeouts.ending_tick, self._timeouts.ending_tick)
        for worker in self._workers:
            worker.terminate(self._stop_at + self._timeouts.end)
        self._stopping += self._workers
        self._workers.clear()
