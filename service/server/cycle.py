"""One request and its response on a connection."""

from typing import Any
from uuid import uuid4

from typing_extensions import override
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from service.http import problem_response
from service.problems import Problem
from service.telemetry import RequestContext, log_request

Fields = list[tuple[bytes, bytes]]
CLOSE = (b"connection", b"close")
# Bytes that would end a field of a response, and could begin another (RFC 9110, 5.5).
CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})


class BufferedCycle(RequestResponseCycle):
    """A request and its response, whose head is held back until the body is there, so that both leave together.

    uvicorn writes head and body separately, and uvloop sends each at once: a system call and a packet more for each
    response. It also checks each field of a response on its own; here one check covers all.
    """

    _start: dict[str, Any] | None = None

    @override
    async def send(self, message: Any) -> None:
        """Hold back the head; send it with the first piece of the body."""
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
        if whole and CLOSE not in fields and self.scope["method"] != "HEAD":
            if self.flow.write_paused:
                await self.flow.drain()
            if self.disconnected:
                return
            head = self._head(start["status"], fields)
            if len(body) <= HIGH_WATER_LIMIT:
                self.transport.write(head + body)
            elif not await self._send_in_pieces(head, body):
                return
            self._complete()
            return
        self.response_started = False
        await super().send(start)  # type: ignore[arg-type]  # it was one of its messages
        await super().send(message)

    def _head(self, status: int, fields: Fields) -> bytes:
        """Return the head of a response. Raises ValueError if a field could end the head or begin another field."""
        if not self.keep_alive:
            fields.append(CLOSE)
        lines = list(map(b": ".join, fields))
        text = b"".join(lines)
        if len(text.translate(None, CONTROLS)) != len(text):
            raise ValueError(f"A field of the response contains a control character: {fields}")
        return b"%b%b\r\n\r\n" % (STATUS_LINE[status], b"\r\n".join(lines))

    async def _send_in_pieces(self, head: bytes, body: bytes) -> bool:
        """Send a large body without a copy of it; return False if the client disconnects meanwhile."""
        self.transport.write(head)
        for begin in range(0, len(body), HIGH_WATER_LIMIT):
            await self.flow.drain()
            if self.transport.is_closing():
                return False
            self.transport.write(memoryview(body)[begin : begin + HIGH_WATER_LIMIT])
        return True

    def _complete(self) -> None:
        """Note that the response was sent, as uvicorn does."""
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive and not self.more_body:
            self.transport.close()
        self.on_response()


def rejection(problem: Problem, default_headers: Fields, client: str | None) -> bytes:
    """Return the response to a request that no application sees, and log it."""
    request_id = str(uuid4())
    response = problem_response(problem, request_id)
    log_request(RequestContext(request_id, client), "", None, problem.status, 0.0)
    fields = [*default_headers, *response.start["headers"], CLOSE]
    head = b"".join(b"%b: %b\r\n" % field for field in fields)
    return STATUS_LINE[problem.status] + head + b"\r\n" + response.body
