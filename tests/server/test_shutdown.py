"""Connections while the process shuts down: each request that has arrived is answered."""

import asyncio
import signal

import pytest
import uvicorn
from litestar.types import Receive, Scope, Send
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.app import Service, create_app
from service.http.middleware import request_middleware
from service.server.acceptor import Acceptor
from service.server.listener import bind
from service.server.worker import OPTIONS, Server
from service.telemetry import RequestContext, current
from service.timeouts import ClientTimeouts
from tests.support.application import make_settings
from tests.support.raw_http import GET, POST, listening
from tests.support.sockets import statuses


async def test_request_that_arrives_just_before_shutdown_is_answered(
    app: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection was idle, and the event loop has not read it yet."""
    stop = Acceptor.stop
    async with listening(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"}")

        async def send_and_stop(acceptor: Acceptor) -> None:
            writer.write(GET + b"\r\n")
            await stop(acceptor)

        monkeypatch.setattr(Acceptor, "stop", send_and_stop)
    response = await asyncio.wait_for(reader.read(), 5)
    writer.close()

    assert statuses(response) == [200]
    assert b"\r\nconnection: close\r\n" in response


@pytest.mark.parametrize("early", [b"", b"GET /hea"], ids=["new connection", "half a head"])
async def test_request_that_arrives_during_shutdown_is_answered(app: Service, early: bytes) -> None:
    async with listening(app, timeouts=ClientTimeouts(shutdown_grace=5)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(early)
        await asyncio.sleep(0.05)
        late = (GET + b"\r\n").removeprefix(early)
        asyncio.get_running_loop().call_later(0.3, writer.write, late)  # uvicorn looks ten times a second
    response = await asyncio.wait_for(reader.read(), 5)
    writer.close()

    assert statuses(response) == [200]
    assert b"\r\nconnection: close\r\n" in response


async def test_new_connection_without_request_is_closed_at_shutdown(app: Service) -> None:
    async with listening(app, timeouts=ClientTimeouts(shutdown_grace=0.05)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)

    assert await asyncio.wait_for(reader.read(), 1) == b""
    writer.close()


async def test_unfinished_request_at_shutdown_is_503(app: Service) -> None:
    with capture_logs() as logs:
        async with listening(app, patience=0) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(POST.replace(b"logout", b"refresh-token") + b"Content-Length: 2\r\n\r\n{")
            await asyncio.sleep(0.05)
        response = await asyncio.wait_for(reader.read(), 5)
    writer.close()

    assert statuses(response) == [503]
    assert b"/problems/unavailable" in response
    assert [entry["status"] for entry in logs if "status" in entry] == [503]


async def test_started_response_at_shutdown_is_not_followed_by_another() -> None:
    async def endless(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"{}", "more_body": True})
        await asyncio.Event().wait()

    async with listening(request_middleware(endless, {"*"}), patience=0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"{}")

    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_draining_is_logged_without_a_request() -> None:
    def add_request(_: object, __: str, entry: EventDict) -> EventDict:
        return {**entry, "request": current.get()}

    app = create_app(make_settings("postgresql://127.0.0.1:1/none"))  # its own, because it drains from now on
    config = uvicorn.Config(app, **OPTIONS | {"lifespan": "off"})
    server = Server(config, bind("127.0.0.1", 0), drain_seconds=3600)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    request = current.set(RequestContext("interrupted"))

    with capture_logs([add_request]) as logs:
        server.handle_exit(signal.SIGTERM, None)
        current.reset(request)
        while not logs:  # noqa: ASYNC110 - a log has no event to wait for
            await asyncio.sleep(0)
    server.should_exit = True
    await serving

    [entry] = [entry for entry in logs if entry["event"] == "draining"]
    assert entry["request"] is None
