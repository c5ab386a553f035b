"""HTTP as raw bytes, to and from a server in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from litestar.types import ASGIApp

from service.server.listener import bind
from service.server.slots import Slot
from service.server.worker import OPTIONS, Server
from service.timeouts import CLIENT_TIMEOUTS, ClientTimeouts

GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /auth/logout HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
# It lacks a token, so the response comes before the body is read.
UNWANTED = b"POST /users/reset-password HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
DOWNLOAD = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
# Forbidden by RFC 9112, or not HTTP/1.1 at all.
NO_REQUESTS = {
    "no Host": b"GET /health/live HTTP/1.1\r\n\r\n",
    "two Hosts": GET + b"Host: evil.example\r\n\r\n",
    "the same Host twice": GET + b"Host: localhost\r\n\r\n",
    "HTTP/0.9": b"GET /health/live\r\n\r\n",
    "HTTP/2.0": b"GET /health/live HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT": b"CONNECT example.com:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a length and chunks": POST + b"Content-Length: 4\r\n" + CHUNKED + b"0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "a length with a sign": POST + b"Content-Length: +5\r\n\r\n{}   ",
    "a blank before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded line": GET + b"X-A: b\r\n c\r\n\r\n",
    "bare line feeds": GET.replace(b"\r\n", b"\n") + b"\n",
    "a chunk beyond 2^64": POST + CHUNKED + b"FFFFFFFFFFFFFFFFF\r\nx\r\n0\r\n\r\n",
    "a chunk longer than it says": POST + CHUNKED + b"2\r\n{}xx\r\n0\r\n\r\n",
}


@asynccontextmanager
async def listening(
    app: ASGIApp,
    *,
    patience: int | None = None,
    timeouts: ClientTimeouts = CLIENT_TIMEOUTS,
    slot: Slot | None = None,
    is_draining: bool = False,
) -> AsyncIterator[int]:
    """Serve `app` in this process and yield its address. At the end, requests get `patience` seconds to finish."""
    config = uvicorn.Config(app, **OPTIONS | {"lifespan": "off"}, timeout_graceful_shutdown=patience)
    listener = bind("127.0.0.1", 0)
    server = Server(config, listener, slot, timeouts=timeouts)
    server.is_draining = is_draining
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    await serving


async def talk(port: int, *parts: bytes, pause: float = 0.05) -> bytes:
    """Send `parts` separately; return all bytes received until the service closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(pause)
    response = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return response
