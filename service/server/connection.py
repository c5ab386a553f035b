"""A client connection: the timeout of each phase, the memory for slow readers, rejection, and closing."""

import asyncio
import select
import socket
from collections import deque
from typing import Any, ClassVar

from typing_extensions import override
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.http import CLIENT_GONE, CORS
from service.problems import Problem, RequestTimeout
from service.server.cycle import BufferedCycle, rejection_response
from service.timeouts import CLIENT_TIMEOUTS, ClientTimeouts

# Bytes of responses, over all connections of the process, that clients have yet to read.
MAX_UNSENT_BYTES = 32 * 1024 * 1024


class TimedConnection(HttpToolsProtocol):
    """A connection whose phases have timeouts: uvicorn waits forever for heads, bodies and slow readers."""

    # The newest request, None before the first one.
    cycle: Any
    # The request that is being answered, and its task.
    _active: BufferedCycle | None = None
    _task: asyncio.Task[None] | None = None
    # The field of ClientTimeouts that applies, and since when, in the event loop's time.
    _phase = "head"
    _phase_began = 0.0
    _timer: asyncio.TimerHandle
    # The size of the data that arrived last; 0 before any.
    _last_size = 0
    _half_closed = False
    # Whether the process is draining or shutting down: each response is then the last one of its connection.
    is_draining = False
    # The connections whose clients do not read, the slowest first, and the bytes that each has yet to read.
    _unsent: ClassVar[dict["TimedConnection", int]] = {}

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        timeouts: ClientTimeouts = CLIENT_TIMEOUTS,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._timeouts = timeouts
        # Requests received while another is being answered, the newest first (RFC 9112, 9.3.2).
        self._pipelined: deque[BufferedCycle] = deque()

    @property
    def idle_since(self) -> float | None:
        """When the connection became idle, in the event loop's time; None while a request is in progress."""
        idle = self._phase == "keep_alive" or (self._phase == "head" and not self._last_size)
        return self._phase_began if idle and not self.transport.is_closing() else None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows the type, too
        super().connection_made(transport)
        self._enter("head")
        self._check_deadline()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._unsent.pop(self, None)
        super().connection_lost(exc)
        if self._task and self._active and not self._task.done():
            self._active.disconnected = True
            # A request that takes longer is cancelled together with its SQL statement.
            grace = 0.0 if self._half_closed else self._timeouts.disconnect_grace
            self.loop.call_later(grace, self._task.cancel, CLIENT_GONE)

    @override
    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio lets it return True to keep the connection
        """Keep serving a client that closed its sending half after a complete request (RFC 9112, 9.6).

        A client that has disconnected looks the same until something is sent to it.
        """
        is_waiting = self._close_after_responses()
        if is_waiting and not self._half_closed:
            self._half_closed = True
            self.loop.call_later(self._timeouts.disconnect_grace, self._probe, b"HTTP/1.1 100 Continue\r\n\r\n")
        return is_waiting

    @override
    def shutdown(self) -> None:
        """Close after the response, even to a request whose head has not arrived yet.

        A worker that a reload replaces accepts connections until its end; their clients are about to send a request.
        """
        self.is_draining = True
        if self._phase == "keep_alive":
            self.close_if_idle()
        elif self._phase != "head":
            super().shutdown()
        elif not self._last_size:
            self.loop.call_later(self._timeouts.shutdown_grace, self.close_if_idle)

    def close_if_idle(self) -> None:
        """Close, unless a request is in progress or has just arrived."""
        if self.idle_since is not None and not self._has_unread():
            self.transport.close()

    def _has_unread(self) -> bool:
        """Return whether data has arrived that the event loop has yet to read."""
        if self.flow.read_paused:
            return False
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _probe(self, interim_response: bytes) -> None:
        """Detect by an interim response whether a half-closed client has disconnected (RFC 9110, 15.2)."""
        active = self._active
        if self.transport.is_closing() or active is None or active.response_started:
            return
        if self.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.transport.abort()
            return
        if active.scope["http_version"] == "1.1":
            self.transport.write(interim_response)
        self.loop.call_later(self._timeouts.probe_interval, self._probe, b"")

    @override
    def pause_writing(self) -> None:
        """Wait for a client that does not read; disconnect the slowest ones if they take too much memory in total."""
        super().pause_writing()
        self._unsent[self] = self.transport.get_write_buffer_size()
        while sum(self._unsent.values()) > MAX_UNSENT_BYTES:
            slowest = next(iter(self._unsent))
            del self._unsent[slowest]
            slowest.transport.abort()

    @override
    def resume_writing(self) -> None:
        self._unsent.pop(self, None)
        super().resume_writing()

    def _enter(self, phase: str) -> None:
        """Begin a phase, named after its field of ClientTimeouts."""
        self._phase, self._phase_began = phase, self.loop.time()

    def _check_deadline(self) -> None:
        """Close the connection if its client has taken too long. One timer serves all phases and requests."""
        now, deadline = self.loop.time(), self._phase_began + getattr(self._timeouts, self._phase)
        if now >= deadline:
            if self._phase in {"response", "linger"} or self.transport.is_closing():
                self.transport.abort()  # the client does not read its response
                return
            if self._has_unread():  # this process was stalled: the client may be in time
                deadline = now + self._timeouts.probe_interval
            else:
                self._reject(RequestTimeout())  # between two requests this only closes
                deadline = self._phase_began + getattr(self._timeouts, self._phase)
        # Checked at intervals, because a later phase can have an earlier deadline.
        self._timer = self.loop.call_at(min(deadline, now + self._timeouts.check_interval), self._check_deadline)

    def _close_after_responses(self) -> bool:
        """Close after the response to the last complete request. Return False if no response is due."""
        cycle = self.cycle
        if self._pipelined and cycle.more_body:
            # The newest request is incomplete, and others precede it.
            self._pipelined.popleft()
            cycle = self._pipelined[0] if self._pipelined else self._active
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        self.cycle = cycle
        cycle.keep_alive = False
        self._enter("response")
        return True

    def _reject(self, problem: Problem) -> None:
        """Respond with `problem` if the current request has no response yet and no earlier one is due; then close."""
        if self._close_after_responses():
            self.flow.pause_reading()
            return
        in_body = self._phase == "body" and not self.cycle.response_complete
        if in_body:
            # For the application, the client has disconnected: it sends nothing more.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if (in_body and not self.cycle.response_started) or (self._phase == "head" and self._last_size):
            client = self.client[0] if self.client else None
            request = dict(self.cycle.scope["headers"] if in_body else self.headers or ())
            cors: CORS | None = getattr(self.app, "cors", None)  # any ASGI application can be served
            headers = [*self.server_state.default_headers, *(cors.response_headers(request) if cors else ())]
            self.transport.write(rejection_response(problem, headers, client, self.parser.get_method()))
        self._linger()

    def _linger(self) -> None:
        """Close the sending half, then discard input until the client closes or the ``linger`` timeout expires.

        Closing at once would reset the connection, and the response could be lost (RFC 9112, 9.6).
        """
        self._enter("linger")
        self.flow.resume_reading()
        self.transport.write_eof()
