"""Accepts connections from a listener that several processes may share."""

import asyncio
import socket
import sys
from collections.abc import Callable, Collection

from service.server.connection import TimedConnection
from service.server.slots import Slot
from service.telemetry import log

BACKLOG = 2048
# How long a process leaves a connection to another that has fewer, and how long it rests when it can accept none.
YIELD, REST = 0.002, 0.5
# Bytes that the kernel takes for a connection before it can send them.
MAX_UNSENT_IN_KERNEL = 128 * 1024
# Seconds after which a connection without a request is idle.
MIN_IDLE = 1.0
# File descriptors that clients leave for everything else, once they ran out.
RESERVE = 32


class Acceptor:
    """Takes connections in turn with the other processes, so that each has about as many.

    asyncio's servers accept all that wait, so that one process gets most; uvloop's stop forever, without a word, when
    file descriptors run out. Here, accepting pauses then, and idle connections are closed to make room for new ones.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.BaseProtocol],
        connections: Collection[TimedConnection],
        slot: Slot,
    ) -> None:
        """Accept from now on, in the running event loop; `connections` are those that the protocols have made."""
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._make_protocol = make_protocol
        self._connections = connections
        self._slot = slot
        self._connecting: set[asyncio.Task[object]] = set()
        self._most: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        listener.setblocking(False)  # noqa: FBT003 - socket's own
        if sys.platform == "linux":  # pragma: no branch
            # Else the kernel takes whole files for clients that do not read: up to 4 MB each (tcp(7), tcp_wmem).
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT_IN_KERNEL)
        listener.listen(BACKLOG)
        slot.count(0)
        self._loop.add_reader(listener, self._readable)

    @property
    def number(self) -> int:
        """How many connections this process has."""
        return len(self._connections) + len(self._connecting)

    async def stop(self) -> None:
        """Accept no more connections, and have a protocol for each that was."""
        if self._timer:
            self._timer.cancel()
        self._loop.remove_reader(self._listener)
        self._slot.leave()
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _readable(self) -> None:
        if self._slot.is_crowded(self.number):
            self._pause(YIELD)
        else:
            self._accept()

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._timer = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._timer = None
        self._loop.add_reader(self._listener, self._readable)
        self._accept()

    def _accept(self) -> None:
        if self._most is not None and self.number >= self._most and not self._close_idle(1):
            self._pause(REST)
            return
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another process took it, or its client is gone
            return
        except OSError as error:
            self._run_out(error)
            return
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._make_protocol, connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        self._slot.count(self.number)

    def _run_out(self, error: OSError) -> None:
        """Log once that no connection can be accepted, and from now on keep fewer than now."""
        if self._most is None:
            log.error("connections cannot be accepted", reason=error.strerror, connections=self.number)
        self._most = max(self.number - RESERVE, self.number // 2, 1)
        self._close_idle(self.number - self._most)
        self._pause(REST)

    def _close_idle(self, number: int) -> int:
        """Close the connections that have been idle longest; return how many."""
        before = self._loop.time() - MIN_IDLE  # the request of a later one may be on its way
        idle = [(since, each) for each in self._connections if (since := each.idle_since) and since < before]
        idle.sort(key=lambda pair: pair[0])
        for _, connection in idle[:number]:
            connection.transport.close()
        return len(idle[:number])
