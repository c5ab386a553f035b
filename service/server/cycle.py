"""One request and its response on a connection."""

from typing import Any

from typing_extensions import override
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from service.http import SECURITY_HEADERS, new_request_id, problem_response
from service.problems import Problem
from service.telemetry import RequestContext, log_request

Headers = list[tuple[bytes, bytes]]
CLOSE = (b"connection", b"close")


class BufferedCycle(RequestResponseCycle):
    """A request and its response, whose head is held back and sent together with the body.

    uvicorn writes head and body separately, and uvloop sends each at once, which costs one more system call and packet
    per response. uvicorn also checks each header separately; here, one check covers them all.
    """

    _start: dict[str, Any] | None = None
    # Whether the end of the connection ends the body: HTTP/1.0 has no chunks (RFC 9112, 6.1), which uvicorn would send.
    _ends_by_closing = False

    @override
    async def send(self, message: Any) -> None:
        """Hold back the head, and send it with the first part of the body."""
        start = self._start
        if start is None:
            if message["type"] == "http.response.start" and not self.response_started:
                self.response_started, self._start = True, message
            else:
                await self._send_part(message)
            return
        self._start = None
        body = message.get("body", b"")
        headers = [*self.default_headers, *start["headers"]]
        is_whole = (b"content-length", b"%d" % len(body)) in headers and not message.get("more_body")
        if is_whole and CLOSE not in headers and self.scope["method"] != "HEAD":
            if self.flow.write_paused:
                await self.flow.drain()
            if self.disconnected:
                return
            head = self._head(start["status"], headers)
            if len(body) <= HIGH_WATER_LIMIT:
                self.transport.write(head + body)
            elif not await self._send_in_parts(head, body):
                return
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive and not self.more_body:
                self.transport.close()
            self.on_response()
            return
        self.response_started = False
        if self.scope["http_version"] == "1.0" and not any(name.lower() == b"content-length" for name, _ in headers):
            self._ends_by_closing, self.chunked_encoding = True, False
        await super().send(start)  # type: ignore[arg-type]  # one of uvicorn's messages
        await self._send_part(message)

    async def _send_part(self, message: Any) -> None:  # noqa: ANN401 - one of uvicorn's messages
        if self._ends_by_closing:  # uvicorn checks the length of a body that has no chunks
            self.expected_content_length = len(message.get("body", b"")) + message.get("more_body", False)
        await super().send(message)

    def _head(self, status: int, headers: Headers) -> bytes:
        """Return the head of a response. Raises ValueError if a header contains CR, LF or NUL (RFC 9110, 5.5)."""
        if not self.keep_alive:
            headers.append(CLOSE)
        lines = list(map(b": ".join, headers))
        text = b"".join(lines)
        if b"\n" in text or b"\r" in text or b"\0" in text:
            raise ValueError(f"A header of the response contains CR, LF or NUL: {headers}")
        return b"%b%b\r\n\r\n" % (STATUS_LINE[status], b"\r\n".join(lines))

    async def _send_in_parts(self, head: bytes, body: bytes) -> bool:
        """Send a large body without copying it; return False if the client disconnects before the end."""
        self.transport.write(head)
        for begin in range(0, len(body), HIGH_WATER_LIMIT):
            await self.flow.drain()
            if self.transport.is_closing():
                return False
            self.transport.write(memoryview(body)[begin : begin + HIGH_WATER_LIMIT])
        return True


def rejection_response(problem: Problem, headers: Headers, client: str | None, method: bytes) -> bytes:
    """Return the response to a request that the application does not answer, and write its line of the access log."""
    request_id = new_request_id()
    response = problem_response(problem, request_id)
    log_request(RequestContext(request_id, client), "", None, problem.status, 0.0, reason=problem.detail)
    own = [*SECURITY_HEADERS, (b"x-request-id", request_id.encode()), CLOSE]
    head = b"".join(b"%b: %b\r\n" % header for header in [*headers, *response.raw_headers(), *own])
    body = b"" if method == b"HEAD" else response.body
    return STATUS_LINE[problem.status] + head + b"\r\n" + body
