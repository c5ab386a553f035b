"""Accepts connections from a listener that several processes can share."""

import asyncio
import socket
import sys
from collections.abc import Callable, Collection

from service.server.connection import TimedConnection
from service.server.listener import listen
from service.server.slots import Slot
from service.telemetry import log

BACKLOG = 2048
# Seconds for which a process leaves new connections to another that has fewer; seconds before it tries again after a
# failure to accept.
YIELD_PAUSE, FAILURE_PAUSE = 0.002, 0.5
# Bytes of a connection that the kernel buffers before it can send them.
MAX_KERNEL_BYTES = 128 * 1024
# Seconds without a request before a connection can be closed to make room.
MIN_IDLE = 1.0
# After a failure to accept, this many file descriptors are kept free for LIMIT_SECONDS. The limit is then lifted,
# because other processes may have caused the shortage.
RESERVED_DESCRIPTORS, LIMIT_SECONDS = 32, 60.0


class Acceptor:
    """Accepts connections unless another process has fewer, so that each has about as many.

    asyncio's servers accept the whole backlog at once, so one process gets most connections; uvloop's silently stop
    for good when file descriptors run out. This one then pauses, and closes idle connections to make room.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.BaseProtocol],
        connections: Collection[TimedConnection],
        slot: Slot,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        """Start accepting in the running event loop; `connections` is the set that uvicorn keeps up to date.

        Raises OperatorError if another process listens on the same port.
        """
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._make_protocol = make_protocol
        self._connections = connections
        self._slot = slot
        self._connecting: set[asyncio.Task[object]] = set()
        self._limit: int | None = None
        self._limit_seconds = limit_seconds
        self._timer: asyncio.TimerHandle | None = None
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
        if sys.platform == "linux":  # pragma: no branch
            # Otherwise the kernel buffers up to 4 MB for each client that does not read (tcp(7), tcp_wmem).
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_KERNEL_BYTES)
        listen(listener, BACKLOG)
        self._loop.add_reader(listener, self._on_readable)

    @property
    def connection_count(self) -> int:
        """The number of this process's connections."""
        return len(self._connections) + len(self._connecting)

    async def stop(self) -> None:
        """Stop accepting, and wait until each accepted connection has its protocol."""
        if self._timer:
            self._timer.cancel()
        self._loop.remove_reader(self._listener)
        self._slot.leave()
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _on_readable(self) -> None:
        if self._slot.another_has_fewer(self.connection_count):
            self._pause(YIELD_PAUSE)
        else:
            self._accept()

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._timer = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._loop.add_reader(self._listener, self._on_readable)
        self._accept()

    def _accept(self) -> None:
        if self._limit is not None and self.connection_count >= self._limit and not self._close_idle(1):
            self._pause(FAILURE_PAUSE)
            return
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another process accepted it, or its client is gone
            return
        except OSError as error:
            self._on_accept_error(error)
            return
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._make_protocol, connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        self._slot.set_connections(self.connection_count)

    def _on_accept_error(self, error: OSError) -> None:
        """Limit the number of connections to fewer than now for LIMIT_SECONDS, and log that once."""
        count = self.connection_count
        if self._limit is None:
            log.error("connections cannot be accepted", reason=error.strerror, connections=count)
            self._loop.call_later(self._limit_seconds, self._lift_limit)
        self._limit = max(count - RESERVED_DESCRIPTORS, count // 2, 1)
        self._close_idle(count - self._limit)
        self._pause(FAILURE_PAUSE)

    def _lift_limit(self) -> None:
        self._limit = None

    def _close_idle(self, number: int) -> int:
        """Close up to `number` connections, the longest idle first; return how many."""
        latest = self._loop.time() - MIN_IDLE  # a client that was idle for less may have sent a request already
        idle = [(since, each) for each in self._connections if (since := each.idle_since) and since < latest]
        idle.sort(key=lambda pair: pair[0])
        for _, connection in idle[:number]:
            connection.close_if_idle()
        return len(idle[:number])
