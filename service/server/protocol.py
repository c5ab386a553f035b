"""HTTP/1.1 as `serve` speaks it: uvicorn's protocol on httptools, which is strict, with the limits that it lacks."""

import asyncio
from typing import Any, ClassVar, TypeAlias
from urllib.parse import unquote

import httptools
from typing_extensions import override
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from service.problems import HeadTooLarge, MalformedRequest, NotImplementedHere, Problem
from service.server.connection import TimedConnection
from service.server.cycle import BufferedCycle
from service.server.head import Headers, check_head

# Request line and header fields, in bytes.
MAX_HEAD = 32 * 1024
# Requests of a connection that wait for the responses before theirs: each takes 2 KiB or more, and is 18 bytes to send.
MAX_PIPELINE = 100
SLASH, HASH = b"/#"
Scope: TypeAlias = dict[str, Any]


class LimitedHttpProtocol(TimedConnection):
    """An HTTP/1.1 connection with limits: a client that breaks one gets one error response, then the connection closes.

    uvicorn reads heads of any size, and accepts HTTP/0.9 and any number of Hosts.
    """

    # When bytes came last; what came last, behind what came before it of the same head; their size since a head or a
    # piece of a body was complete.
    _now = 0.0
    _raw = b""
    _size = 0
    # Whether this process is about to end: then each response is the last one of its connection.
    draining: ClassVar = False

    @override
    def data_received(self, data: bytes) -> None:
        if self._phase == "linger":
            return
        self._now = self.loop.time()
        self._raw = self._raw + data if self._phase == "head" else data
        if self._phase == "keep_alive":
            self._phase, self._since = "head", self._now
        self._piece = len(data)
        self._size += self._piece
        self._feed(data)
        if self._phase != "head":
            self._raw = b""  # an idle connection keeps nothing
        if self._size > MAX_HEAD and self._phase in {"head", "body"} and not self.transport.is_closing():
            self._reject(HeadTooLarge())

    def _feed(self, data: bytes) -> None:
        """Parse `data`. The parser stops at an offer to upgrade, which is ignored (RFC 9110, 7.8)."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                # Its body would be lost: the request is parsed again without the offer.
                version = self.parser.get_http_version().encode()
                lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
                lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
                self._raw = data = b"\r\n".join([*lines, b"", data[offer.args[0] :]])
            except httptools.HttpParserError as error:
                problem = error.__context__  # what a callback of the parser raised
                self._reject(problem if isinstance(problem, Problem) else MalformedRequest("This is not HTTP/1.1"))
                return
            else:
                return

    @override
    def on_message_begin(self) -> None:
        self.url, self.headers = b"", []
        self._phase, self._since = "head", self._now

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    @override
    def on_headers_complete(self) -> None:
        """Check the head, and begin the request. Raises Problem."""
        if len(self._pipelined) >= MAX_PIPELINE:
            raise MalformedRequest("Too many requests wait for their responses")
        headers, method, target = self.headers, self.parser.get_method(), self.url
        # A piece of more than a head may contain a body or another request: only then is the head worth adding up.
        if self._size > MAX_HEAD or self._piece > MAX_HEAD:
            size = len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
            if size > MAX_HEAD:
                raise HeadTooLarge
        # The parser accepts CONNECT, and RTSP and ICE in place of HTTP.
        if method == b"CONNECT" or not self._is_http(method, target):
            raise MalformedRequest("This is not HTTP/1.1")
        version = self.parser.get_http_version()
        names = [name for name, _ in headers]
        is_usual = version == "1.1" and names.count(b"host") == 1 and b"transfer-encoding" not in names
        if not is_usual or target[0] != SLASH or HASH in target:
            target = check_head(version, target, headers)
        if self.parser.should_upgrade():
            if b"sec-websocket-key" in names:
                raise NotImplementedHere("WebSockets are not served here")
            return  # _feed() has the request parsed again
        self.headers = []  # a field behind the body must not count as one that a proxy has set (RFC 9110, 6.5.1)
        self._begin(self._make_scope(version, method, target, headers), names)

    def _is_http(self, method: bytes, target: bytes) -> bool:
        end = len(method) + 1 + len(target)
        return self._raw[end : end + 6] == b" HTTP/" or b"%b %b HTTP/" % (method, target) in self._raw

    def _make_scope(self, version: str, method: bytes, target: bytes, headers: Headers) -> Scope:
        raw_path, _, query = target.partition(b"?")
        path = raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": headers,
            "state": self.app_state.copy(),
            "method": method.decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
        }

    def _begin(self, scope: Scope, names: list[bytes]) -> None:
        """Start the request, or queue it behind others of its connection."""
        version, headers = scope["http_version"], scope["headers"]
        expects = version == "1.1" and b"expect" in names and dict(headers)[b"expect"].lower() == b"100-continue"
        before, self.cycle = (
            self.cycle,
            BufferedCycle(
                scope=scope,  # type: ignore[arg-type]  # uvicorn's class for it is private
                transport=self.transport,
                flow=self.flow,
                logger=self.logger,
                access_logger=self.access_logger,
                access_log=False,
                default_headers=self.server_state.default_headers,
                message_event=asyncio.Event(),
                expect_100_continue=expects,
                keep_alive=not self.draining and version == "1.1" and self.parser.should_keep_alive(),
                on_response=self.on_response_complete,
            ),
        )
        if before is None or before.response_complete:
            self._run(self.cycle)
        else:
            self.flow.pause_reading()
            self._pipelined.appendleft(self.cycle)
        self._size = 0
        self._phase, self._since = "body", self._now

    def _run(self, cycle: BufferedCycle) -> None:
        self._running = cycle
        self._task = task = self.loop.create_task(cycle.run_asgi(self.app))
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
        if self.parser.should_upgrade():  # this request is parsed again
            return
        self._size = 0
        self._phase, self._since = "response", self._now
        cycle = self.cycle
        if cycle.response_complete:  # before the end of its body
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
        if self._pipelined:
            self._run(self._pipelined.pop())
        if self._phase == "response" and self.cycle.response_complete:
            self._enter("keep_alive")
        elif self._phase == "body" and self.cycle.response_complete and not self.cycle.keep_alive:
            self._linger()
