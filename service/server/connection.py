"""The client's side of a connection: how long each phase may last, how it is refused, and how it ends."""

import asyncio
import socket
from collections import deque
from typing import Any, ClassVar

from typing_extensions import override
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.http import CLIENT_GONE
from service.problems import Problem, RequestTimeout
from service.server.cycle import BufferedCycle, rejection
from service.timeouts import ClientTimeouts

# Bytes of responses that clients have yet to read, of all connections of the process together.
MAX_UNSENT = 32 * 1024 * 1024
DEFAULT_TIMEOUTS = ClientTimeouts()


class TimedConnection(HttpToolsProtocol):
    """A connection whose phases have deadlines: uvicorn waits forever for heads, bodies and slow readers."""

    # The newest request, None before the first one.
    cycle: Any
    # The request that is being answered, and its task.
    _running: BufferedCycle | None = None
    _task: asyncio.Task[None] | None = None
    # The field of ClientTimeouts that is in force, and since when, by the event loop's clock.
    _phase = "head"
    _since = 0.0
    _timer: asyncio.TimerHandle
    # The size of what came last.
    _piece = 0
    _half_closed = False
    # The connections whose clients do not read, the slowest first, and the bytes that each has yet to read.
    _unsent: ClassVar[dict["TimedConnection", int]] = {}

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        timeouts: ClientTimeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._timeouts = timeouts
        # Requests that arrived whole behind the one that is being answered (RFC 9112, 9.3.2).
        self._pipelined: deque[BufferedCycle] = deque()

    @property
    def idle_since(self) -> float | None:
        """When the client began to have no request under way, by the event loop's clock."""
        idle = self._phase == "keep_alive" or (self._phase == "head" and not self._piece)
        return self._since if idle and not self.transport.is_closing() else None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._enter("head")
        self._check_deadline()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._unsent.pop(self, None)
        super().connection_lost(exc)
        if self._task and self._running and not self._task.done():
            self._running.disconnected = True
            # A request that still runs after the grace is cancelled, and its statement with it.
            grace = 0.0 if self._half_closed else self._timeouts.disconnect_grace
            self.loop.call_later(grace, self._task.cancel, CLIENT_GONE)

    @override
    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio lets it return True to keep the connection
        """Answer a client that closed its sending half after a whole request (RFC 9112, 9.6).

        It looks like one that is gone, until something is sent to it.
        """
        is_waiting = self._close_after_responses()
        if is_waiting and not self._half_closed:
            self._half_closed = True
            self.loop.call_later(self._timeouts.disconnect_grace, self._probe, b"HTTP/1.1 100 Continue\r\n\r\n")
        return is_waiting

    def _probe(self, interim_response: bytes) -> None:
        """Find out whether a client that sends no more still listens, by an interim response (RFC 9110, 15.2)."""
        running = self._running
        if self.transport.is_closing() or running is None or running.response_started or running.response_complete:
            return
        if self.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.transport.abort()
            return
        if running.scope["http_version"] == "1.1":
            self.transport.write(interim_response)
        self.loop.call_later(self._timeouts.probe_interval, self._probe, b"")

    @override
    def pause_writing(self) -> None:
        """Wait for a client that does not read; disconnect the slowest ones if they take too much memory together."""
        super().pause_writing()
        self._unsent[self] = self.transport.get_write_buffer_size()
        while sum(self._unsent.values()) > MAX_UNSENT:
            slowest = next(iter(self._unsent))
            del self._unsent[slowest]
            slowest.transport.abort()

    @override
    def resume_writing(self) -> None:
        self._unsent.pop(self, None)
        super().resume_writing()

    def _enter(self, phase: str) -> None:
        """Start the time of a phase, a field of ClientTimeouts."""
        self._phase, self._since = phase, self.loop.time()

    def _check_deadline(self) -> None:
        """Close the connection if its client has taken too long; one timer serves all requests of a connection."""
        now, deadline = self.loop.time(), self._since + getattr(self._timeouts, self._phase)
        if now >= deadline:
            if self._phase in {"response", "linger"} or self.transport.is_closing():
                self.transport.abort()  # the client does not read what it was sent
                return
            self._reject(RequestTimeout())  # between two requests this only closes
            deadline = self._since + getattr(self._timeouts, self._phase)
        # Deadlines that come after a later one are seen in time, too.
        self._timer = self.loop.call_at(min(deadline, now + self._timeouts.check_interval), self._check_deadline)

    def _close_after_responses(self) -> bool:
        """Close after the last response to a request that arrived whole. Return whether there is one to wait for."""
        cycle = self.cycle
        if self._pipelined and cycle.more_body:
            # The newest request is incomplete, and waits behind others.
            self._pipelined.popleft()
            cycle = self._pipelined[0] if self._pipelined else self._running
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        self.cycle = cycle
        cycle.keep_alive = False
        self._enter("response")
        return True

    def _reject(self, problem: Problem) -> None:
        """Answer `problem`, unless the request has a response already, and close."""
        if self._close_after_responses():
            self.flow.pause_reading()
            return
        in_body = self._phase == "body" and self.cycle and not self.cycle.response_complete
        if in_body:
            # The application learns that the client is gone, and sends nothing more.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if (in_body and not self.cycle.response_started) or (self._phase == "head" and self._piece):
            client = self.client[0] if self.client else None
            self.transport.write(rejection(problem, self.server_state.default_headers, client))
        self._linger()

    def _linger(self) -> None:
        """Close the sending half, and discard what the client still sends until it closes or its time is over.

        If the connection were closed at once, it would be reset, and the response lost (RFC 9112, 9.6).
        """
        self._enter("linger")
        self.flow.resume_reading()
        self.transport.write_eof()
