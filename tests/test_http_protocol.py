"""HTTP as bytes: what is no HTTP/1.1 is refused once, and who is slow is not waited for."""

import asyncio
import json
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from litestar.types import ASGIApp, Receive, Scope, Send
from structlog.testing import capture_logs

from service import deadlines, http_protocol
from service.app import Service
from service.edge import edge
from service.http_protocol import HttpProtocol

GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /auth/logout HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
# Its token is missing, so that it is answered before its body is read.
UNWANTED = b"POST /users/reset-password HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
DOWNLOAD = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
# What RFC 9112 forbids, or is no HTTP/1.1 at all.
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
async def listening(app: ASGIApp) -> AsyncIterator[int]:
    """Serve `app` in this process, and return where it listens."""
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        port=0,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


@pytest.fixture(scope="module")
async def port(app: Service) -> AsyncIterator[int]:
    """Return where the service listens, in this process."""
    async with listening(app) as port:
        yield port


async def talk(port: int, *parts: bytes, pause: float = 0.05) -> bytes:
    """Send `parts`, each for itself, and return all that comes until the service closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(pause)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


def statuses(answer: bytes) -> list[int]:
    """Return the statuses of all answers in `answer`."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("request_", NO_REQUESTS.values(), ids=NO_REQUESTS)
async def test_what_is_no_request_is_refused_once(port: int, request_: bytes) -> None:
    answer = await talk(port, request_)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["type"] == "/problems/malformed-request"


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([GET + b"X-A: " + b"a" * 33_000 + b"\r\n\r\n"], id="in one piece"),
        pytest.param([GET + b"X-A: " + b"a" * 33_000], id="without an end"),
        pytest.param([GET + b"X-A: " + b"a" * 20_000, b"a" * 20_000], id="in two pieces"),
        pytest.param([GET + b"X: y\r\n" * 6_000 + b"\r\n"], id="many fields"),
        pytest.param([b"GET /" + b"a" * 33_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"], id="a path"),
    ],
)
async def test_a_head_of_more_than_32_kib_is_refused_once(port: int, parts: list[bytes]) -> None:
    answer = await talk(port, *parts)

    assert statuses(answer) == [431]
    assert b'"/problems/head-too-large"' in answer


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (POST + b"Connection: close\r\nContent-Length: 5000000\r\n\r\n", 413),
        (POST.replace(b"1.1", b"1.0") + b"Content-Length: 5000000\r\n\r\n", 413),
        (GET + b"X-A: ", 431),
        (GET + b"no field\r\n\r\n", 400),
    ],
)
async def test_who_still_sends_gets_the_answer_before_the_connection_is_closed(
    port: int, head: bytes, status: int
) -> None:
    assert statuses(await talk(port, head, *[b"a" * 100_000] * 50, pause=0)) == [status]


async def test_the_head_of_a_second_request_is_no_larger_either(port: int) -> None:
    second = GET + b"X-A: " + b"a" * 40_000 + b"\r\n\r\n"

    assert statuses(await talk(port, GET + b"\r\n" + second)) == [200]
    assert statuses(await talk(port, UNWANTED + b"Content-Length: 2\r\n\r\n", b"{}" + second)) == [401, 431]


@pytest.mark.parametrize("more", [b"0\r\n" + b"X-A: b\r\n" * 5_000, b"1;" + b"a" * 40_000], ids=["trailers", "a chunk"])
async def test_around_a_body_no_more_is_read_than_before_it(port: int, more: bytes) -> None:
    head = POST.replace(b"logout", b"refresh-token")  # it waits for the end of the body

    assert statuses(await talk(port, head + CHUNKED + b"2\r\n{}\r\n", more)) == [431]


async def test_a_field_behind_the_body_is_none() -> None:
    """A proxy that checks the fields of the head may hand the others on."""
    fields: list[tuple[bytes, bytes]] = []
    trailers = b"0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"

    async def app(scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        fields.extend(scope["headers"])

    async with listening(app) as port:
        await talk(port, POST + b"Connection: close\r\n" + CHUNKED + b"2\r\n{}\r\n" + trailers)

    assert [name for name, _ in fields] == [b"host", b"content-type", b"connection", b"transfer-encoding"]


async def test_a_body_may_be_larger_than_a_head(port: int) -> None:
    body = b'{"refresh_token": "' + b"x" * 50_000 + b'"}'

    answer = await talk(port, POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    assert statuses(answer) == [204]


async def test_what_follows_a_request_is_refused_by_closing_behind_its_answer(port: int) -> None:
    assert statuses(await talk(port, GET + b"\r\n\x00garbage\r\n\r\n")) == [200]
    assert statuses(await talk(port, GET + b"\r\n", b"\x00garbage\r\n\r\n")) == [200, 400]


@pytest.mark.parametrize("before", [1, 2, 3])
async def test_what_waits_behind_requests_is_not_refused_in_their_place(port: int, before: int) -> None:
    """A pet that is there must not be answered by the 400 of what came after it."""
    bad = POST + CHUNKED + b"no chunk\r\n"

    assert statuses(await talk(port, (GET + b"\r\n") * before + bad)) == [200] * before


async def test_what_follows_an_early_answer_is_refused(port: int) -> None:
    no_host = b"GET /health/live HTTP/1.1\r\n\r\n"

    assert statuses(await talk(port, UNWANTED + b"Content-Length: 2\r\n\r\n", b"{}" + no_host)) == [401, 400]


async def test_a_request_that_is_answered_already_is_not_answered_again(port: int) -> None:
    assert statuses(await talk(port, UNWANTED + CHUNKED, b"no chunk\r\n")) == [401]


async def test_two_requests_in_one_piece_get_two_answers(port: int) -> None:
    assert statuses(await talk(port, GET + b"\r\n" + GET + b"Connection: close\r\n\r\n")) == [200, 200]


async def test_a_request_that_was_answered_before_its_end_leaves_the_connection_usable(port: int) -> None:
    parts = UNWANTED + b"Content-Length: 2\r\n\r\n", b"{}", GET + b"Connection: close\r\n\r\n"

    assert statuses(await talk(port, *parts)) == [401, 200]


@pytest.mark.parametrize(
    ("parts", "answers"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([b"\r\n"], [408], id="an empty line"),
        pytest.param([b"GET / HT"], [408], id="half a head"),
        pytest.param([GET + b"\r\n", b"GE"], [200, 408], id="half a second head"),
        pytest.param([POST + b"Content-Length: 10\r\n\r\n", b"{"], [408], id="half a body"),
        pytest.param([UNWANTED + b"Content-Length: 10\r\n\r\n", b"{"], [401], id="half a body that nobody wants"),
    ],
)
async def test_who_is_slow_is_not_waited_for(
    port: int, monkeypatch: pytest.MonkeyPatch, parts: list[bytes], answers: list[int]
) -> None:
    monkeypatch.setitem(deadlines.SECONDS, "head", 0.3)
    monkeypatch.setitem(deadlines.SECONDS, "body", 0.3)

    assert statuses(await talk(port, *parts)) == answers


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"], ids=["kept", "closing"])
async def test_who_does_not_take_the_answer_is_let_go(port: int, monkeypatch: pytest.MonkeyPatch, more: bytes) -> None:
    """Eight answers of 1.5 MB each are more than the system buffers."""
    monkeypatch.setitem(deadlines.SECONDS, "answer", 0.8)
    monkeypatch.setattr(http_protocol, "TICK", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=60_000)
    writer.write(DOWNLOAD * 7 + DOWNLOAD[:-2] + more + b"\r\n")
    await asyncio.sleep(1.2)

    received = await asyncio.wait_for(reader.read(), 10)

    assert statuses(received)[0] == 200
    assert len(received) < 8 * 1_500_000
    writer.close()


async def test_a_connection_that_nobody_uses_is_closed_without_a_word(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(deadlines.SECONDS, "request", 0.2)
    monkeypatch.setattr(http_protocol, "TICK", 0.05)

    assert statuses(await talk(port, GET + b"\r\n")) == [200]


@pytest.mark.parametrize("field", [(b"x-a", b"b\r\nset-cookie: c"), (b"x-a: b\r\nset-cookie", b"c"), (b"x-a", b"\x00")])
async def test_a_field_that_would_begin_another_is_not_sent(field: tuple[bytes, bytes]) -> None:
    async def careless(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0"), field]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with listening(careless) as port:
        assert await talk(port, GET + b"\r\n") == b""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how many segments came")
async def test_an_answer_is_one_segment(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(GET + b"\r\n")
        await reader.readuntil(b'"}')

    information = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)

    # tcpi_data_segs_in of struct tcp_info, linux/tcp.h.
    assert struct.unpack_from("I", information, 152) == (3,)
    writer.close()


async def test_a_process_that_is_about_to_end_closes_each_connection_with_its_answer(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HttpProtocol, "draining", True)

    answer = await talk(port, GET + b"\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in answer


async def test_what_runs_for_a_client_who_is_gone_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word of error, and not at once: most requests are as good as done."""
    monkeypatch.setattr(http_protocol, "GONE", 0.05)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(_: Scope, __: Receive, ___: Send) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with capture_logs() as logs:
        async with listening(edge(endless, {"*"})) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET + b"\r\n")
            await begun.wait()

            writer.close()

            await asyncio.wait_for(ended.wait(), 1)

    assert [(entry["event"], entry["path"]) for entry in logs] == [("client gone", "/health/live")]


async def test_the_head_of_an_answer_does_not_wait_for_a_body_that_never_comes(port: int) -> None:
    answer = await talk(port, b"HEAD /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")
