"""HTTP/1.1: uvicorn's protocol on httptools, whose parser is strict, extended by limits and missing checks."""

import asyncio
import re
from typing import Any, TypeAlias
from urllib.parse import unquote

import httptools
from typing_extensions import override
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from service.problems import HeadTooLarge, MalformedRequest, NotImplementedHere, Problem
from service.server.connection import TimedConnection
from service.server.cycle import BufferedCycle, Headers

# Bytes of request line and headers.
MAX_HEAD_BYTES = 32 * 1024
# Pipelined requests of one connection: each takes at least 2 KiB of memory, but only 18 bytes to send.
MAX_PIPELINE = 100
SLASH, HASH = b"/#"
# Any method is valid HTTP (RFC 9110, 9.1); the parser knows a list of them.
REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~\w-]+ \S+ HTTP/1\.1\r\n", re.ASCII)
ASGI = {"version": "3.0", "spec_version": "2.3"}
Scope: TypeAlias = dict[str, Any]


class LimitedHttpProtocol(TimedConnection):
    """An HTTP/1.1 connection with limits. A client that breaks one gets one error response, then the connection closes.

    uvicorn reads heads of any size, and accepts HTTP/0.9 and any number of Host headers.
    """

    # When data arrived last, in the event loop's time.
    _received_at = 0.0
    # The data that arrived last, preceded by the earlier part of its head.
    _buffer = b""
    # Bytes received since the last complete head or part of a body.
    _incomplete_size = 0

    @override
    def data_received(self, data: bytes) -> None:
        if self._phase == "linger":
            return
        self._received_at = self.loop.time()
        self._buffer += data
        self._last_size = len(data)
        self._incomplete_size += len(data)
        self._feed(data)
        if self._phase != "head":
            self._buffer = b""  # idle connections use no memory for it
        elif not self._incomplete_size:  # the head began in this data
            self._buffer = data
        if (
            self._incomplete_size > MAX_HEAD_BYTES
            and self._phase in {"head", "body"}
            and not self.transport.is_closing()
        ):
            self._reject(HeadTooLarge())

    def _feed(self, data: bytes) -> None:
        """Parse `data`. The parser stops at an offer to upgrade, which this server ignores (RFC 9110, 7.8)."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                # The parser would skip the body, so the request is parsed again without the offer: by another parser,
                # because this one ignores all data after a request that closes the connection.
                version = self.parser.get_http_version().encode()
                lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
                lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
                self.parser = httptools.HttpRequestParser(self)
                self._buffer = data = b"\r\n".join([*lines, b"", data[offer.args[0] :]])
            except httptools.HttpParserError as error:
                problem = error.__context__  # what a callback of the parser raised
                if isinstance(error, httptools.HttpParserInvalidMethodError) and REQUEST_LINE.match(self._buffer):
                    problem = NotImplementedHere("Unknown method; methods are case-sensitive")
                self._reject(problem if isinstance(problem, Problem) else MalformedRequest("This is not HTTP/1.1"))
                return
            else:
                return

    @override
    def on_message_begin(self) -> None:
        self.url, self.headers = b"", []
        self._phase, self._phase_began = "head", self._received_at

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    @override
    def on_headers_complete(self) -> None:
        """Check the head, and start the request. Raises Problem."""
        if len(self._pipelined) >= MAX_PIPELINE:
            raise MalformedRequest("Too many pipelined requests")
        headers, method, target = self.headers, self.parser.get_method(), self.url
        # Add up the head only if it can be too large: most of the data can be a body or other requests.
        if self._incomplete_size > MAX_HEAD_BYTES or self._last_size > MAX_HEAD_BYTES:
            size = len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
            if size > MAX_HEAD_BYTES:
                raise HeadTooLarge
        # The parser accepts CONNECT, RTSP and ICE. The request line is rarely preceded by other data.
        end = len(method) + 1 + len(target)
        is_http = self._buffer[end : end + 6] == b" HTTP/" or b"%b %b HTTP/" % (method, target) in self._buffer
        if method == b"CONNECT" or not is_http:
            raise MalformedRequest("This is not HTTP/1.1")
        version = self.parser.get_http_version()
        by_name = dict(headers)
        is_usual = (
            version == "1.1"
            and b"host" in by_name
            and b"transfer-encoding" not in by_name
            and len(by_name) == len(headers)  # none is repeated
        )
        if not is_usual or target[0] != SLASH or HASH in target:
            target = _check_head(version, method, target, headers)
        if self.parser.should_upgrade():
            if b"sec-websocket-key" in by_name:
                raise NotImplementedHere("WebSockets are not supported")
            return  # _feed() parses the request again
        self.headers = []  # trailers must not be taken for headers that a proxy has set (RFC 9110, 6.5.1)
        expects = b"expect" in by_name and version == "1.1" and by_name[b"expect"].lower() == b"100-continue"
        raw_path, _, query = target.partition(b"?")
        path = raw_path.decode("ascii")
        scope: Scope = {
            "type": "http",
            "asgi": ASGI,
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": headers,
            "header_map": by_name,  # for http/middleware.py
            "state": self.app_state.copy(),
            "method": method.decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
        }
        self._begin(scope, expects_continue=expects)

    def _begin(self, scope: Scope, *, expects_continue: bool) -> None:
        """Start the request, or queue it behind earlier ones of its connection."""
        before = self.cycle
        keep_alive = not self.is_draining and scope["http_version"] == "1.1" and self.parser.should_keep_alive()
        # By position: Python makes a dictionary of keywords for each object.
        self.cycle = BufferedCycle(
            scope,  # type: ignore[arg-type]  # uvicorn's type for it is private
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            False,  # noqa: FBT003 - whether uvicorn writes its access log
            self.server_state.default_headers,
            asyncio.Event(),
            expects_continue,
            keep_alive,
            self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._run(self.cycle)
        else:
            self.flow.pause_reading()
            self._pipelined.appendleft(self.cycle)
        self._incomplete_size = 0
        self._phase, self._phase_began = "body", self._received_at

    def _run(self, cycle: BufferedCycle) -> None:
        self._active = cycle
        self._task = task = self.loop.create_task(cycle.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    @override
    def on_body(self, body: bytes) -> None:
        self._incomplete_size = 0
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()

    @override
    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():  # _feed() parses the request again
            return
        self._incomplete_size = 0
        self._phase, self._phase_began = "response", self._received_at
        cycle = self.cycle
        if cycle.response_complete:  # the response ended before the body of the request
            self._phase = "keep_alive"
        else:
            cycle.more_body = False
            cycle.message_event.set()

    @override
    def on_response_complete(self) -> None:
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._pipelined:
            self._run(self._pipelined.pop())
        if self._phase == "response" and self.cycle.response_complete:
            self._phase, self._phase_began = "keep_alive", self.loop.time()
        elif self._phase == "body" and self.cycle.response_complete and not self.cycle.keep_alive:
            self._linger()


def _check_head(version: str, method: bytes, target: bytes, headers: Headers) -> bytes:
    """Check what httptools does not check in a head, and return path and query of the request target.

    Raises MalformedRequest or NotImplementedHere. Source: RFC 9112, 2.3, 3.2 and 6.1.
    """
    hosts = [value for name, value in headers if name == b"host"]
    if version not in {"1.1", "1.0"} or len(hosts) > 1 or (version == "1.1" and not hosts):
        raise MalformedRequest("The request must be HTTP/1.1, with exactly one Host header")
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and version == "1.0":
        raise MalformedRequest("HTTP/1.0 does not allow Transfer-Encoding")
    if codings and codings != [b"chunked"]:
        raise NotImplementedHere("The only supported transfer coding is chunked")
    if b"#" in target:
        raise MalformedRequest("The request target contains a fragment")
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return target
    # The absolute form, which clients of proxies send (3.2.2).
    scheme, _, rest = target.partition(b"://")
    before_query, question, query = rest.partition(b"?")
    authority, _, path = before_query.partition(b"/")
    if scheme.lower() not in {b"http", b"https"} or [authority.lower()] != [host.lower() for host in hosts]:
        raise MalformedRequest("The request target must be a path, or a URL whose authority is that of Host")
    return b"/" + path + question + query
