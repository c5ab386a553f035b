"""A connection: slow clients time out, and how it closes."""

import asyncio
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator

import pytest
import uvloop
from litestar.types import ASGIApp, Receive, Scope, Send
from structlog.testing import capture_logs

from service.app import Service
from service.http.middleware import request_middleware
from service.server.connection import TimedConnection
from service.server.slots import Slot
from service.timeouts import ClientTimeouts
from tests.support.raw_http import DOWNLOAD, GET, POST, UNWANTED, listening, talk
from tests.support.sockets import statuses


async def empty(_: Scope, __: Receive, send: Send) -> None:
    """Respond without a body."""
    await send({"type": "http.response.start", "status": 204, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.fixture(scope="module")
async def port(app: Service) -> AsyncIterator[int]:
    """Return the port of the service, which runs in this process."""
    async with listening(app) as port:
        yield port


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([b"\r\n"], [408], id="an empty line"),
        pytest.param([b"GET / HT"], [408], id="half a head"),
        pytest.param([GET + b"\r\n", b"GE"], [200, 408], id="half a second head"),
        pytest.param([POST + b"Content-Length: 10\r\n\r\n", b"{"], [408], id="half a body"),
        pytest.param([UNWANTED + b"Content-Length: 10\r\n\r\n", b"{"], [401], id="half an unread body"),
    ],
)
async def test_slow_client_is_408(app: Service, parts: list[bytes], expected: list[int]) -> None:
    async with listening(app, timeouts=ClientTimeouts(head=0.3, body=0.3)) as port:
        assert statuses(await talk(port, *parts)) == expected


def test_request_received_during_a_stall_is_not_late() -> None:
    """Only uvloop runs the timers, after a stall, before it reads what has arrived."""

    async def stall() -> bytes:
        loop, (waking, woken) = asyncio.get_running_loop(), socket.socketpair()
        with waking, woken:
            async with listening(empty, timeouts=ClientTimeouts(head=0.2)) as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)

                def send_and_sleep() -> None:
                    loop.remove_reader(woken)
                    writer.write(GET + b"Connection: close\r\n\r\n")
                    time.sleep(0.3)

                loop.add_reader(woken, send_and_sleep)
                waking.send(b"now")
                response = await asyncio.wait_for(reader.read(), 5)
                writer.close()
        return response

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert statuses(runner.run(stall())) == [204]


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"], ids=["kept", "closing"])
@pytest.mark.slow
async def test_client_that_does_not_read_is_dropped(app: Service, more: bytes) -> None:
    """The kernel buffers less than eight responses of 1.5 MB."""
    async with listening(app, timeouts=ClientTimeouts(response=0.8, check_interval=0.1)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=60_000)
        writer.write(DOWNLOAD * 7 + DOWNLOAD[:-2] + more + b"\r\n")
        connection = await slow_reader()
        async with asyncio.timeout(10):
            while not connection.transport.is_closing():  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.01)

        received = await asyncio.wait_for(reader.read(), 10)

    assert statuses(received)[0] == 200
    assert len(received) < 8 * 1_500_000
    writer.close()


async def test_idle_connection_is_closed_silently(app: Service) -> None:
    async with listening(app, timeouts=ClientTimeouts(keep_alive=0.2, check_interval=0.05)) as port:
        assert statuses(await talk(port, GET + b"\r\n")) == [200]


@pytest.mark.parametrize("field", [(b"x-a", b"b\r\nset-cookie: c"), (b"x-a: b\r\nset-cookie", b"c"), (b"x-a", b"\x00")])
async def test_header_with_line_break_is_not_sent(field: tuple[bytes, bytes]) -> None:
    async def careless(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0"), field]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with listening(careless) as port:
        assert await talk(port, GET + b"\r\n") == b""


async def test_application_can_close_the_connection() -> None:
    calls = []

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        calls.append(scope)
        await send(
            {
                "type": "http.response.start",
                "status": 204,
                "headers": [(b"content-length", b"0"), (b"connection", b"close")],
            }
        )
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with listening(app) as port:
        assert statuses(await talk(port, (GET + b"\r\n") * 2)) == [204]
    assert len(calls) == 1


async def test_request_after_a_timeout_is_not_run() -> None:
    calls = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope)
        await empty(scope, receive, send)

    async with listening(app, timeouts=ClientTimeouts(head=0.1, body=0.1)) as port:
        head = POST + b"Content-Length: 2\r\n\r\n"
        assert statuses(await talk(port, head, b"{}" + GET + b"\r\n", pause=0.5)) == [204]
    assert len(calls) == 1


def unmeasured(*parts: bytes) -> ASGIApp:
    """Return an application that sends a body of unknown length."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number, part in enumerate(parts, 1):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})

    return app


@pytest.mark.parametrize(
    ("parts", "body"), [((b"a", b"b"), b"1\r\na\r\n1\r\nb\r\n"), ((b"a",), b"1\r\na\r\n"), ((b"",), b"")]
)
async def test_response_of_unknown_length_is_chunked(parts: tuple[bytes, ...], body: bytes) -> None:
    async with listening(unmeasured(*parts)) as port:
        response = await talk(port, GET + b"Connection: close\r\n\r\n")

    assert b"transfer-encoding: chunked" in response
    assert response.endswith(b"\r\n\r\n" + body + b"0\r\n\r\n")


async def test_http_1_0_client_gets_no_chunks() -> None:
    """RFC 9112, 6.1."""
    async with listening(unmeasured(b"a", b"b")) as port:
        response = await talk(port, GET.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n")

    assert b"transfer-encoding" not in response
    assert response.endswith(b"\r\n\r\nab")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts received segments")
async def test_response_is_one_segment(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(GET + b"\r\n")
        await reader.readuntil(b'"}')

    information = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)

    # tcpi_data_segs_in of struct tcp_info, linux/tcp.h.
    assert struct.unpack_from("I", information, 152) == (3,)
    writer.close()


async def test_draining_process_closes_after_each_response(app: Service) -> None:
    async with listening(app, is_draining=True) as port:
        response = await talk(port, GET + b"\r\n")

    assert response.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in response


async def test_request_of_a_disconnected_client_is_cancelled() -> None:
    """No error is logged, and the request has a moment to finish, as most do."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(_: Scope, __: Receive, ___: Send) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with capture_logs() as logs:
        async with listening(
            request_middleware(endless, {"*"}), timeouts=ClientTimeouts(disconnect_grace=0.05)
        ) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET + b"\r\n")
            await begun.wait()

            writer.close()

            await asyncio.wait_for(ended.wait(), 5)

    assert [(entry["event"], entry["path"]) for entry in logs] == [("client disconnected", "/health/live")]


@pytest.mark.parametrize("requests", [GET + b"\r\n", (GET + b"\r\n") * 3, GET + b"\r\nGET / HT"])
async def test_half_closed_client_gets_its_responses(port: int, requests: bytes) -> None:
    """It closes its sending half after the last complete request, as ``nc -N`` does."""
    answer = await half_closed(port, requests)

    assert statuses(answer) == [200] * requests.count(b"\r\n\r\n")


@pytest.mark.parametrize(("version", "interim"), [(b"1.1", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"1.0", b"")])
async def test_half_closed_client_gets_a_slow_response(version: bytes, interim: bytes) -> None:
    """Only an interim response distinguishes it from a disconnected client; HTTP/1.0 has none."""
    released = asyncio.Event()

    async def slow(_: Scope, __: Receive, send: Send) -> None:
        await released.wait()
        await send({"type": "http.response.start", "status": 204, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with listening(slow, timeouts=ClientTimeouts(disconnect_grace=0.01, probe_interval=0.01)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET.replace(b"1.1", version) + b"\r\n")
        writer.write_eof()
        received = await reader.readexactly(len(interim))
        await asyncio.sleep(0.05)
        released.set()
        response = await asyncio.wait_for(reader.read(), 5)
        writer.close()

    assert received == interim
    assert statuses(response) == [204]


async def test_half_closed_client_with_half_a_request_is_closed(port: int) -> None:
    assert await half_closed(port, POST + b"Content-Length: 10\r\n\r\n{") == b""


async def test_slow_readers_share_a_bounded_buffer(app: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it is full, the slowest client is disconnected."""
    monkeypatch.setattr("service.server.connection.MAX_UNSENT_BYTES", 300_000)
    unsent = TimedConnection._unsent  # noqa: SLF001 - nothing else shows it
    writers, others = [], set[TimedConnection]()
    async with listening(app) as port, asyncio.timeout(10):
        for _ in range(12):
            others = set(unsent)
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            writers.append(writer)
            writer.write(DOWNLOAD * 4)
            while unsent.keys() <= others:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.01)
            assert sum(unsent.values()) <= 300_000
        for writer in writers:
            writer.transport.abort()

    assert len(others) < 12


async def test_client_is_served_beside_a_busy_process(app: Service) -> None:
    """The other process has fewer connections, but accepts none."""
    async with listening(app, slot=Slot([0, 0], [0, 0], 0)) as port:
        _, first = await asyncio.open_connection("127.0.0.1", port)

        answers = await asyncio.gather(*[talk(port, GET + b"Connection: close\r\n\r\n") for _ in range(4)])

        first.close()
    assert [statuses(answer) for answer in answers] == [[200]] * 4


async def test_small_responses_wait_for_a_slow_reader() -> None:
    """The server does not buffer them all."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"60000")]})
        await send({"type": "http.response.body", "body": b"x" * 60_000, "more_body": False})

    async with listening(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**16)
        writer.write((GET + b"\r\n") * 99 + GET + b"Connection: close\r\n\r\n")
        connection = await slow_reader()
        await asyncio.sleep(0.1)  # the application could send more meanwhile
        assert connection.transport.get_write_buffer_size() < 200_000

        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()

    assert statuses(answer) == [200] * 100


async def slow_reader() -> TimedConnection:
    """Wait until a client does not read, and return its connection."""
    unsent = TimedConnection._unsent  # noqa: SLF001 - nothing else shows it
    async with asyncio.timeout(10):
        while not unsent:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
    [connection] = unsent
    return connection


async def half_closed(port: int, request: bytes) -> bytes:
    """Send `request`, close the sending half, and return the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.write_eof()
    response = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return response


async def test_response_head_does_not_wait_for_the_body(port: int) -> None:
    response = await talk(port, b"HEAD /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.endswith(b"\r\n\r\n")
