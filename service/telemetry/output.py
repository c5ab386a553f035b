"""Standard output, written by a separate thread, so that a reader that stops reading does not block requests.

Standard output stays in blocking mode, because other processes can share it. Lines wait in a bounded buffer; lines that
do not fit are dropped and counted.
"""

import asyncio
import atexit
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue

from service.telemetry.metrics import counter

# Longest delay of an access log line, in seconds: it lets several lines be written at once.
FLUSH_DELAY = 0.05
# A pipe writes this many bytes atomically (pipe(7)), so that lines of different workers do not mix.
MAX_CHUNK_BYTES = getattr(select, "PIPE_BUF", 512)
# Size of the buffer: about 3,000 lines of the access log.
MAX_BUFFER_BYTES = 1024 * 1024
# Seconds that an ending process waits for its last lines to be written.
CLOSE_TIMEOUT = 1.0
# Seconds between two reports of dropped lines while other lines wait.
REPORT_INTERVAL = 1.0
THREAD_NAME = "log output"

DROPPED = counter("log_lines_dropped_total", "Log lines dropped because standard output was not read")


class Output:
    """Writes lines to a file descriptor in the order in which they are added."""

    def __init__(self, descriptor: int, max_buffer: int = MAX_BUFFER_BYTES) -> None:
        """Write to `descriptor`, with a buffer of `max_buffer` bytes."""
        self._descriptor = descriptor
        self._max_buffer = max_buffer
        self.report: Callable[[int], str] = lambda _: ""
        """Return the line that reports this number of dropped lines."""
        self.reset()

    def reset(self) -> None:
        """Start with an empty buffer and no thread; a forked process must not use those of its parent."""
        self._lock = threading.RLock()  # reentrant, because a signal handler can log
        self._work: SimpleQueue[list[bytes] | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lines: list[bytes] = []
        # Bytes that are not written yet.
        self._pending = 0
        self._dropped = 0
        self._reported_at = 0.0
        self._is_scheduled = False
        self._closes_at: float | None = None

    def add(self, line: bytes, *, later: bool = False) -> None:
        """Buffer `line` until flush(); if `later`, the running event loop calls that within FLUSH_DELAY."""
        with self._lock:
            if self._pending > self._max_buffer:
                self._drop(1)
                return
            self._lines.append(line)
            self._pending += len(line)
        if later and not self._is_scheduled:
            if self._closes_at:
                self.flush()
            else:
                self._is_scheduled = True
                asyncio.get_running_loop().call_later(FLUSH_DELAY, self.flush)

    def write(self, text: str) -> None:
        """Buffer the text of a logging handler, which then calls flush()."""
        self.add(text.encode(errors="backslashreplace"))

    def flush(self) -> None:
        """Let the thread write all lines; after close(), wait until it has."""
        with self._lock:
            self._is_scheduled = False
            lines, self._lines = self._lines, []
            if lines:
                self._enqueue(lines)
        if self._closes_at and self._thread:
            written = threading.Event()
            self._enqueue(written)
            written.wait(max(0.0, self._closes_at - time.monotonic()))

    def close(self, seconds: float = CLOSE_TIMEOUT) -> None:
        """Write all lines, and wait for these and all later ones, for at most `seconds` in total."""
        self._closes_at = self._closes_at or time.monotonic() + seconds
        self.flush()

    def _enqueue(self, work: list[bytes] | threading.Event) -> None:
        self._work.put(work)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
            # The main thread handles signals.
            signals = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            try:
                self._thread.start()
            except RuntimeError:  # no memory for a thread; the next line tries again
                self._thread = None
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)

    def _drop(self, lines: int) -> None:
        self._dropped += lines
        DROPPED.inc(lines)

    def _run(self) -> None:
        """Write the lines of the queue until the process ends."""
        while True:
            work = self._work.get()
            if isinstance(work, threading.Event):
                work.set()
                continue
            for lines in _chunks(work):
                text = b"".join(lines)
                is_written = self._write(text)
                with self._lock:
                    self._pending -= len(text)
                    if not is_written:
                        self._drop(len(lines))
                if is_written and self._dropped:
                    self._report()

    def _report(self) -> None:
        """Report dropped lines, at most once per REPORT_INTERVAL while other lines wait."""
        now = time.monotonic()
        with self._lock:
            if self._pending and now < self._reported_at + REPORT_INTERVAL:
                return
            lines, self._reported_at = self._dropped, now
        if self._write(self.report(lines).encode()):
            with self._lock:
                self._dropped -= lines

    def _write(self, text: bytes) -> bool:
        """Write `text`; return False if that fails, because the reader is gone or the disk is full."""
        unwritten = memoryview(text)
        try:
            while unwritten:
                unwritten = unwritten[os.write(self._descriptor, unwritten) :]
        except OSError:
            return False
        return True


def _chunks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines in groups to write at once, of at most MAX_CHUNK_BYTES unless a single line is longer."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        if chunk and size + len(line) > MAX_CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(line)
        size += len(line)
    yield chunk


stdout = Output(1)
os.register_at_fork(after_in_child=stdout.reset)
atexit.register(stdout.close)


def close_log() -> None:
    """Write the rest of the log, in a process that does not run atexit handlers: a fork, or one that is killed next."""
    stdout.close()


def is_log_thread(thread: threading.Thread) -> bool:
    """Return whether `thread` writes the log; a process can fork while it runs, because reset() replaces its lock."""
    return thread.name == THREAD_NAME
