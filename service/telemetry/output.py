"""Standard output, written by a thread of its own: a reader that stops reading holds up no request.

Standard output stays blocking, because other processes can share it. Lines wait in a buffer of bounded size; those that
do not fit are dropped and counted.
"""

import asyncio
import atexit
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeAlias

from service.telemetry.metrics import counter

# Seconds that a line of the access log can wait for others, to be written with them.
DELAY = 0.05
# A pipe takes this many bytes in one piece (pipe(7)): lines of several workers do not mix.
PIECE = getattr(select, "PIPE_BUF", 512)
# The most that waits to be written, in bytes: about 3,000 lines of the access log.
LIMIT = 1024 * 1024
# Seconds that a process waits at its end for what is not written yet.
CLOSE = 1.0
# Seconds between two reports of dropped lines, unless all others are written.
REPORT = 1.0
THREAD = "log output"

DROPPED = counter("log_lines_dropped_total", "Lines of the log that standard output did not take")

# Lines that are written in one piece, and their number.
Piece: TypeAlias = tuple[bytes, int]


class Output:
    """Writes lines to a file descriptor, in the order in which they come."""

    def __init__(self, descriptor: int, limit: int = LIMIT) -> None:
        """Write to `descriptor`; `limit` is the size of the buffer in bytes."""
        self._descriptor = descriptor
        self._limit = limit
        self.report: Callable[[int], str] = lambda _: ""
        """Returns the line that reports a number of dropped lines."""
        self.reset()

    def reset(self) -> None:
        """Begin with nothing to write and no thread: in a forked process, both are the parent's."""
        self._lock = threading.RLock()  # a signal handler can log, too
        self._work: SimpleQueue[list[Piece] | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lines: list[bytes] = []
        self._pieces: list[Piece] = []
        # Bytes in `lines`, and bytes of pieces that are not written yet.
        self._size = self._waiting = 0
        self._dropped = 0
        self._reported_at = 0.0
        self._is_scheduled = False
        self._closes_at: float | None = None

    def add(self, line: bytes, *, later: bool = False) -> None:
        """Keep `line` for the next flush(); if `later`, the running event loop calls that within DELAY seconds."""
        with self._lock:
            if self._waiting > self._limit:
                self._drop(1)
                return
            size = self._size + len(line)
            if size > PIECE:
                self._join()
                size = len(line)
            self._lines.append(line)
            self._size = size
        if later and not self._is_scheduled:
            if self._closes_at:
                self.flush()
            else:
                self._is_scheduled = True
                asyncio.get_running_loop().call_later(DELAY, self.flush)

    def write(self, text: str) -> None:
        """Take the text of a logging handler, which calls flush() next."""
        self.add(text.encode(errors="backslashreplace"))

    def flush(self) -> None:
        """Let the thread write all lines; wait for it after close() only."""
        with self._lock:
            self._is_scheduled = False
            self._join()
            pieces, self._pieces = self._pieces, []
            if pieces:
                self._hand_over(pieces)
        if self._closes_at and self._thread:
            written = threading.Event()
            self._hand_over(written)
            written.wait(max(0.0, self._closes_at - time.monotonic()))

    def close(self, seconds: float = CLOSE) -> None:
        """Write all lines, and wait for that. So are lines that come later: for `seconds` in all."""
        self._closes_at = self._closes_at or time.monotonic() + seconds
        self.flush()

    def open(self) -> None:
        """Write without waiting again, after close()."""
        self._closes_at = None

    def _join(self) -> None:
        """Make a piece of the lines."""
        if self._lines:
            self._pieces.append((b"".join(self._lines), len(self._lines)))
            self._waiting += self._size
            self._lines, self._size = [], 0

    def _hand_over(self, work: list[Piece] | threading.Event) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
            signals = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the main thread's
            self._thread.start()
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        self._work.put(work)

    def _drop(self, lines: int) -> None:
        self._dropped += lines
        DROPPED.inc(lines)

    def _run(self) -> None:
        """Write what is handed over, until the end of the process."""
        while True:
            work = self._work.get()
            if isinstance(work, threading.Event):
                work.set()
                continue
            for text, lines in work:
                is_written = self._write(text)
                with self._lock:
                    self._waiting -= len(text)
                    if not is_written:
                        self._drop(lines)
                if is_written and self._dropped:
                    self._report()

    def _report(self) -> None:
        """Report dropped lines, at most once in REPORT seconds while others wait."""
        now = time.monotonic()
        with self._lock:
            if self._waiting and now < self._reported_at + REPORT:
                return
            lines, self._dropped, self._reported_at = self._dropped, 0, now
        if not self._write(self.report(lines).encode()):
            with self._lock:
                self._dropped += lines

    def _write(self, text: bytes) -> bool:
        """Write `text`; return whether it was written. It is not if nobody reads any more, or the disk is full."""
        left = memoryview(text)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            return False
        return True


stdout = Output(1)
os.register_at_fork(after_in_child=stdout.reset)
atexit.register(stdout.close)


def close_log() -> None:
    """Write the log at the end of a process that does not end by itself: it is killed, or a fork."""
    stdout.close()


def is_log_thread(thread: threading.Thread) -> bool:
    """Tell whether `thread` writes the log: a process can fork beside that one, which holds no lock."""
    return thread.name == THREAD
