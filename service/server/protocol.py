"""HTTP/1.1 as `serve` speaks it: uvicorn's protocol on httptools, which is strict, with the limits that it lacks."""

import asyncio
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import httptools
from typing_extensions import override
from uvicorn import Config
from uvicorn._types import ASGI3Application, HTTPResponseStartEvent
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.http import CLIENT_GONE, problem_response
from service.problems import HeadTooLarge, MalformedRequest, Problem, RequestTimeout
from service.telemetry import RequestContext, log_request
from service.timeouts import ClientTimeouts

# What comes before a body, request line and fields, in bytes.
LARGEST_HEAD = 32 * 1024
# Requests of a connection that wait for the answers before theirs: each takes 2 KiB and more, and is 18 bytes to send.
MOST_WAITING = 100
DEFAULT_TIMEOUTS = ClientTimeouts()
CLOSE = (b"connection", b"close")
# What may not stand in a field of an answer, and could end it (RFC 9110, 5.5).
CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})


class BufferedCycle(RequestResponseCycle):
    """A request and its answer, whose head waits for what follows it, so that both leave together.

    uvicorn writes the two by themselves, and uvloop sends each at once: a system call and a packet more for each
    answer. It also looks at each field of an answer for itself, which takes 8 µs; here one look is enough.
    """

    _start: HTTPResponseStartEvent | None = None

    @override
    async def send(self, message: Any) -> None:
        """Keep the head; send what comes before it, and after it."""
        start = self._start
        if start is None:
            if message["type"] == "http.response.start" and not self.response_started:
                self.response_started, self._start = True, message
            else:
                await super().send(message)
            return
        self._start = None
        body = message.get("body", b"")
        fields = [*self.default_headers, *start["headers"]]
        whole = (b"content-length", b"%d" % len(body)) in fields and not message.get("more_body")
        if whole and CLOSE not in fields and self.scope["method"] != "HEAD" and not self.flow.write_paused:
            self._send_whole(start["status"], fields, body)
            return
        self.response_started = False
        await super().send(start)
        await super().send(message)

    def _send_whole(self, status: int, fields: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send an answer that is all there, in one piece.

        Raises ValueError where a field could end the head or begin another.
        """
        if self.disconnected:
            return
        if not self.keep_alive:
            fields.append(CLOSE)
        lines = list(map(b": ".join, fields))
        text = b"".join(lines)
        if len(text.translate(None, CONTROLS)) != len(text):
            raise ValueError(f"A field of the answer has a character that none may have: {fields}")
        self.response_complete = True
        self.message_event.set()
        self.transport.write(b"%b%b\r\n\r\n%b" % (STATUS_LINE[status], b"\r\n".join(lines), body))
        if not self.keep_alive and not self.more_body:
            self.transport.close()
        self.on_response()


class LimitedHttpProtocol(HttpToolsProtocol):
    """An HTTP/1.1 connection with limits: a client that breaks one gets one error response, then the connection closes.

    uvicorn reads heads of any size, waits forever for heads and bodies, and accepts HTTP/0.9 and any number of Hosts.
    """

    # What the client is given its time for, since when, and when bytes came last, by the event loop's clock.
    _phase = "head"
    _since = _now = 0.0
    # The bytes that came last, and all since there was a whole head or a piece of a body: of neither is so much read.
    _piece = _size = 0
    _rejection: Problem | None = None
    # The request that is being answered; `cycle` is the newest.
    _running: RequestResponseCycle | None = None
    _timer: asyncio.TimerHandle
    _task: asyncio.Task[None] | None = None
    # Whether this process is about to end: then each answer is the last one of its connection.
    draining = False

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

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._enter("head")
        self._check_deadline()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)
        if self._task and self._running and not self._task.done():
            self._running.disconnected = True
            # Nobody waits for the answer: what still runs then is cancelled, its statement with it.
            self.loop.call_later(self._timeouts.disconnect_grace, self._task.cancel, CLIENT_GONE)

    @override
    def data_received(self, data: bytes) -> None:
        if self._phase == "linger":
            return
        self._now = self.loop.time()
        if self._phase == "keep_alive":
            self._phase, self._since = "head", self._now
        self._piece = len(data)
        self._size += self._piece
        super().data_received(data)
        if self._size > LARGEST_HEAD and self._phase in {"head", "body"} and not self.transport.is_closing():
            self._reject(HeadTooLarge())

    @override
    def on_message_begin(self) -> None:
        self.url, self.headers = b"", []
        self._phase, self._since = "head", self._now

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    @override
    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MOST_WAITING:
            self._reject_in_parser(MalformedRequest("Too many requests wait for their answers"))
        # Behind the body, a field must not count as one that a proxy has set (RFC 9110, 6.5.1): it is kept apart.
        headers, self.headers = self.headers, []
        # What came with the head in one piece may be another request, or a body: only then is it worth to add up.
        if self._size > LARGEST_HEAD or self._piece > LARGEST_HEAD:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in headers)
            if size > LARGEST_HEAD:
                self._reject_in_parser(HeadTooLarge())
        version = self.parser.get_http_version()
        names = [name for name, _ in headers]
        if version not in {"1.1", "1.0"} or names.count(b"host") > 1 or (version == "1.1" and b"host" not in names):
            # RFC 9112, 3.2: a server must answer 400 to a request without a Host, and to one with several.
            self._reject_in_parser(MalformedRequest("This needs HTTP/1.1, and one Host"))
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,  # type: ignore[typeddict-item]  # one of the two, as uvicorn has it
            "root_path": self.root_path,
            "headers": headers,
            "state": self.app_state.copy(),
            "method": self.parser.get_method().decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
        }
        expects = version == "1.1" and b"expect" in names and dict(headers)[b"expect"].lower() == b"100-continue"
        before: RequestResponseCycle | None = self.cycle
        self.cycle = BufferedCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expects,
            # What follows an Upgrade, httptools does not read.
            keep_alive=not self.draining
            and version == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:  # the next one of those that came at once (RFC 9112, 9.3.2)
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        self._size = 0
        self._phase, self._since = "body", self._now

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        self._task = task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    @override
    def on_body(self, body: bytes) -> None:
        self._size = 0
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()

    @override
    def on_message_complete(self) -> None:
        self._size = 0
        self._phase, self._since = "response", self._now
        cycle = self.cycle
        if cycle.response_complete:  # it was answered before its end
            self._phase = "keep_alive"
        else:
            cycle.more_body = False
            cycle.message_event.set()

    @override
    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        if self._phase == "response" and self.cycle.response_complete:
            self._enter("keep_alive")
        elif self._phase == "body" and self.cycle.response_complete and not self.cycle.keep_alive:
            self._linger()

    def _enter(self, what: str) -> None:
        """Give the client its time, from now, for the next request, its head, its body or the answer."""
        self._phase, self._since = what, self.loop.time()

    def _check_deadline(self) -> None:
        """Close the connection if its client has taken too long; one timer serves all requests of a connection."""
        now, deadline = self.loop.time(), self._since + getattr(self._timeouts, self._phase)
        if now >= deadline:
            if self._phase in {"response", "linger"} or self.transport.is_closing():
                self.transport.abort()  # what it was sent, it does not take
                return
            self._reject(RequestTimeout())  # or, between two requests, close without a word
            deadline = self._since + getattr(self._timeouts, self._phase)
        # Deadlines that come after a later one are seen in time, too.
        self._timer = self.loop.call_at(min(deadline, now + self._timeouts.check_interval), self._check_deadline)

    def _reject_in_parser(self, problem: Problem) -> None:
        """Refuse from within a callback of the parser, which ends by an exception that comes out of feed_data()."""
        self._rejection = problem
        raise problem

    @override
    def send_400_response(self, msg: str) -> None:
        self._reject(self._rejection or MalformedRequest(msg))

    def _reject(self, problem: Problem) -> None:
        """Answer `problem`, unless the request has an answer already, and close."""
        cycle: RequestResponseCycle | None = self.cycle
        if self.pipeline and self.cycle.more_body:
            # The one that is refused waits behind others.
            self.pipeline.popleft()
            cycle = self.pipeline[0][0] if self.pipeline else self._running
        if cycle and not cycle.response_complete and not cycle.more_body:
            # A whole request is being answered, and what follows it is refused: by closing after its answer.
            self.cycle = cycle
            cycle.keep_alive = False
            self._enter("response")
            self.flow.pause_reading()
            return
        if self._phase == "body" and cycle and not cycle.response_complete:
            # The application hears that the client is gone, and sends nothing more.
            cycle.disconnected = True
            cycle.message_event.set()
        in_body = self._phase == "body" and cycle and not cycle.response_started
        if in_body or (self._phase == "head" and self._piece):
            self.transport.write(self._answer(problem))
        self._linger()

    def _linger(self) -> None:
        """Say that no more will come; throw away what the client still sends, until it closes or its time is over.

        Closed at once, the connection would be reset, and the client lose the answer (RFC 9112, 9.6).
        """
        self._enter("linger")
        self.flow.resume_reading()
        self.transport.write_eof()

    def _answer(self, problem: Problem) -> bytes:
        request_id = str(uuid4())
        response = problem_response(problem, request_id)
        client = self.client[0] if self.client else None
        log_request(RequestContext(request_id, client), "", None, problem.status, 0.0)
        fields = [
            *self.server_state.default_headers,
            *response.start["headers"],
            CLOSE,
        ]
        head = b"".join(b"%b: %b\r\n" % field for field in fields)
        return STATUS_LINE[problem.status] + head + b"\r\n" + response.body
