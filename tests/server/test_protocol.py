"""HTTP as bytes: invalid HTTP/1.1 is rejected once, and neighbouring requests do not change a response."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator

import pytest
from litestar.types import Receive, Scope, Send
from structlog.testing import capture_logs

from service.app import Service
from service.server.protocol import LimitedHttpProtocol
from tests.support.raw_http import CHUNKED, GET, NO_REQUESTS, POST, UNWANTED, listening, talk
from tests.support.sockets import statuses


@pytest.fixture(scope="module")
async def port(app: Service) -> AsyncIterator[int]:
    """Return the port of the service, which runs in this process."""
    async with listening(app) as port:
        yield port


@pytest.mark.parametrize("request_", NO_REQUESTS.values(), ids=NO_REQUESTS)
async def test_malformed_request_is_refused_once(port: int, request_: bytes) -> None:
    response = await talk(port, request_)

    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert b"x-content-type-options: nosniff" in head
    problem = json.loads(body)
    assert problem["type"] == "/problems/malformed-request"
    assert b"x-request-id: " + problem["instance"].removeprefix("urn:uuid:").encode() in head


async def test_refusal_of_a_head_request_has_no_body(port: int) -> None:
    """RFC 9110, 9.3.2."""
    response = await talk(port, b"HEAD /health/live HTTP/1.1\r\n\r\n")

    assert response.startswith(b"HTTP/1.1 400 ")
    assert response.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([GET + b"X-A: " + b"a" * 33_000 + b"\r\n\r\n"], id="in one piece"),
        pytest.param([GET + b"X-A: " + b"a" * 33_000], id="without an end"),
        pytest.param([GET + b"X-A: " + b"a" * 20_000, b"a" * 20_000], id="in two pieces"),
        pytest.param([GET + b"X-A: " + b"a" * 20_000, b"a" * 20_000 + b"\r\n\r\n"], id="in two pieces, complete"),
        pytest.param([GET + b"X: y\r\n" * 6_000 + b"\r\n"], id="many fields"),
        pytest.param([b"GET /" + b"a" * 33_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"], id="a path"),
    ],
)
async def test_head_over_32_kib_is_refused_once(port: int, parts: list[bytes]) -> None:
    response = await talk(port, *parts)

    assert statuses(response) == [431]
    assert b'"/problems/head-too-large"' in response


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (POST + b"Connection: close\r\nContent-Length: 5000000\r\n\r\n", 413),
        (POST.replace(b"1.1", b"1.0") + b"Content-Length: 5000000\r\n\r\n", 413),
        (GET + b"X-A: ", 431),
        (GET + b"no field\r\n\r\n", 400),
    ],
)
async def test_client_still_sending_gets_the_response(port: int, head: bytes, status: int) -> None:
    assert statuses(await talk(port, head, *[b"a" * 100_000] * 50, pause=0)) == [status]


async def test_head_limit_applies_to_second_request(port: int) -> None:
    second = GET + b"X-A: " + b"a" * 40_000 + b"\r\n\r\n"

    assert statuses(await talk(port, GET + b"\r\n" + second)) == [200]
    assert statuses(await talk(port, UNWANTED + b"Content-Length: 2\r\n\r\n", b"{}" + second)) == [401, 431]


@pytest.mark.parametrize("more", [b"0\r\n" + b"X-A: b\r\n" * 5_000, b"1;" + b"a" * 40_000], ids=["trailers", "a chunk"])
async def test_trailers_over_the_limit_are_431(port: int, more: bytes) -> None:
    head = POST.replace(b"logout", b"refresh-token")  # this handler reads the whole body

    assert statuses(await talk(port, head + CHUNKED + b"2\r\n{}\r\n", more)) == [431]


async def test_trailers_are_ignored() -> None:
    """A proxy that checks headers can still forward trailers."""
    fields: list[tuple[bytes, bytes]] = []
    trailers = b"0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"

    async def app(scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        fields.extend(scope["headers"])

    async with listening(app) as port:
        await talk(port, POST + b"Connection: close\r\n" + CHUNKED + b"2\r\n{}\r\n" + trailers)

    assert [name for name, _ in fields] == [b"host", b"content-type", b"connection", b"transfer-encoding"]


async def test_body_may_be_larger_than_the_head_limit(port: int) -> None:
    body = b'{"refresh_token": "' + b"x" * 50_000 + b'"}'

    response = await talk(port, POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    assert statuses(response) == [204]


async def test_garbage_after_a_request_closes_after_response(port: int) -> None:
    assert statuses(await talk(port, GET + b"\r\n\x00garbage\r\n\r\n")) == [200]
    assert statuses(await talk(port, GET + b"\r\n", b"\x00garbage\r\n\r\n")) == [200, 400]


@pytest.mark.parametrize("before", [1, 2, 3])
async def test_garbage_behind_requests_does_not_replace_their_responses(port: int, before: int) -> None:
    """A valid request must not get the 400 of the one that follows it."""
    bad = POST + CHUNKED + b"no chunk\r\n"

    assert statuses(await talk(port, (GET + b"\r\n") * before + bad)) == [200] * before


async def test_garbage_after_an_early_response_is_refused(port: int) -> None:
    no_host = b"GET /health/live HTTP/1.1\r\n\r\n"

    assert statuses(await talk(port, UNWANTED + b"Content-Length: 2\r\n\r\n", b"{}" + no_host)) == [401, 400]


async def test_answered_request_is_not_answered_again(port: int) -> None:
    assert statuses(await talk(port, UNWANTED + CHUNKED, b"no chunk\r\n")) == [401]


async def test_expect_100_continue_is_answered(port: int) -> None:
    head = POST + b"Connection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"

    assert statuses(await talk(port, head, b"{}")) == [100, 422]
    assert statuses(await talk(port, head.replace(b"1.1", b"1.0"), b"{}")) == [422]


async def test_buffer_of_half_sent_heads_does_not_grow(port: int) -> None:
    half = len(GET) // 2
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET[:half])
    for _ in range(50):
        writer.write(GET[half:] + b"X-A: " + b"a" * 10_000 + b"\r\n\r\n" + GET[:half])
        await reader.readuntil(b"\r\n\r\n")

    connections = [each for each in gc.get_objects() if isinstance(each, LimitedHttpProtocol)]
    largest = max(len(each._buffer) for each in connections)  # noqa: SLF001 - nothing else shows it
    writer.close()
    assert largest < 100_000


async def test_two_pipelined_requests_get_two_responses(port: int) -> None:
    assert statuses(await talk(port, GET + b"\r\n" + GET + b"Connection: close\r\n\r\n")) == [200, 200]


async def test_pipeline_beyond_100_requests_is_closed(port: int) -> None:
    """One connection must not use up the memory."""
    assert statuses(await talk(port, (GET + b"\r\n") * 1_000)) == [200] * 101


UPGRADES = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "TLS": b"Connection: upgrade\r\nUpgrade: TLS/1.2\r\n",
    "websocket without a key": b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
}
EXPECTS = {"nothing": b"", "something else": b"Expect: the-unexpected\r\n"}


@pytest.mark.parametrize("expect", EXPECTS.values(), ids=EXPECTS)
@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
async def test_offer_to_upgrade_is_ignored(port: int, upgrade: bytes, expect: bytes) -> None:
    """Java's client and ``curl --http2`` offer one with each request."""
    head, chunked = POST + upgrade + expect, CHUNKED + b"2\r\n{}\r\n0\r\n\r\n"
    parts = head + b"Content-Length: 2\r\n\r\n{}", head + chunked + GET + upgrade + b"\r\n"

    with capture_logs() as logs:
        answer = await talk(port, *parts, GET + b"Connection: close\r\n\r\n")

    assert statuses(answer) == [422, 422, 200, 200]
    assert not [entry for entry in logs if entry["log_level"] == "warning"]


@pytest.mark.parametrize(
    ("version", "connection"),
    [(b"HTTP/1.1", b"Upgrade, close"), (b"HTTP/1.1", b"close, upgrade"), (b"HTTP/1.0", b"upgrade")],
)
async def test_offer_to_upgrade_the_last_request_is_ignored(port: int, version: bytes, connection: bytes) -> None:
    head = POST.replace(b"HTTP/1.1", version) + b"Connection: " + connection + b"\r\nUpgrade: h2c\r\n"

    answer = await talk(port, head + b"Content-Length: 2\r\n\r\n{}")

    assert statuses(answer) == [422]
    assert b"connection: close" in answer


async def test_offer_to_upgrade_in_single_bytes_is_ignored(port: int) -> None:
    request = POST + UPGRADES["h2c"] + b"Content-Length: 2\r\n\r\n{}" + GET + b"Connection: close\r\n\r\n"

    assert statuses(await talk(port, *[bytes([byte]) for byte in request], pause=0)) == [422, 200]


async def test_websocket_is_501(port: int) -> None:
    fields = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

    answer = await talk(port, GET + fields)

    assert statuses(answer) == [501]
    assert b"WebSockets are not supported" in answer


@pytest.mark.parametrize("method", [b"patch", b"X-FOO", b"GETS"])
async def test_unknown_method_is_501(port: int, method: bytes) -> None:
    """RFC 9110, 9.1."""
    answer = await talk(port, GET.replace(b"GET", method) + b"\r\n")

    assert statuses(answer) == [501]
    assert b'"/problems/not-implemented"' in answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: identity\r\n" + CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", 501),
        (POST.replace(b"1.1", b"1.0") + CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", 400),
        (GET.replace(b"HTTP/1.1", b"RTSP/1.0") + b"\r\n", 400),
        (GET.replace(b"HTTP/1.1", b"RTSP/1.1") + b"\r\n", 400),
        (b"SOURCE /pets/me ICE/1.0\r\nHost: localhost\r\n\r\n", 400),
        (b"DESCRIBED /pets/me RTSP/1.0\r\nHost: localhost\r\n\r\n", 400),
        (b"G@T /pets/me HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (GET.replace(b"/live", b"/live#x") + b"\r\n", 400),
        (GET.replace(b"/live", b"/live?x#y") + b"\r\n", 400),
        (GET.replace(b"/health", b"http://evil.example/health") + b"\r\n", 400),
        (GET.replace(b"/health", b"http://a:b@localhost/health") + b"\r\n", 400),
        (GET.replace(b"/health", b"ftp://localhost/health") + b"\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /users/me HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n", 400),
        (b"GET /users/me HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (GET.replace(b"/health", b"http://localhost/health") + b"Connection: close\r\n\r\n", 200),
        (b"GET HTTP://LOCALHOST?x=/y HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200),
    ],
)
async def test_request_outside_the_standard_is_refused(port: int, request_: bytes, status: int) -> None:
    """RFC 9112, 2.3, 3.2 and 6.1; RFC 9110, 4.2.4."""
    assert statuses(await talk(port, request_)) == [status]


async def test_early_response_leaves_the_connection_usable(port: int) -> None:
    head, body = UNWANTED + b"Content-Length: 200000\r\n\r\n", b"a" * 200_000
    parts = head, body, GET + b"Connection: close\r\n\r\n"

    assert statuses(await talk(port, *parts)) == [401, 200]
