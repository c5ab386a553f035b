"""HTTP from outside: a malformed request is refused once, and every response has its security headers."""

import json
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.support.accounts import Account, account
from tests.support.figures import Report
from tests.support.processes import Running, running, wait_for_workers
from tests.support.raw_http import CHUNKED, GET, NO_REQUESTS, POST
from tests.support.routes import address, operations, routes, valid_request
from tests.support.sockets import statuses, talk

PAGE, EVIL = "https://app.example.com", "https://evil.example"
CLOSING = POST + b"Connection: close\r\n"
TOO_LARGE = {
    "64 KB of headers": (GET + b"X-A: " + b"a" * 65_536 + b"\r\n\r\n", [431]),
    "64 KB in 2,000 headers": (GET + (b"X-A: " + b"a" * 25 + b"\r\n") * 2000 + b"\r\n", [431]),
    "64 KB of path": (b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", [431]),
    "a length of 50 MB": (POST + b"Content-Length: 52428800\r\n\r\n" + b"x" * 100_000, [413]),
    "chunks of 100 KB": (CLOSING + CHUNKED + b"186A0\r\n" + b"x" * 100_000 + b"\r\n0\r\n\r\n", [413]),
    "a length of 5,000 digits": (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", [400]),
}


def test_malformed_request_is_refused_once_and_closed(two_workers: Running, report: Report) -> None:
    """Each is sent twice in one piece: nothing after an unreadable request is read."""
    found: Counter[int] = Counter()
    slowest = 0.0
    expected = {name: (request + request, [400]) for name, request in NO_REQUESTS.items()} | TOO_LARGE
    for name, (request, responses) in expected.items():
        began = time.monotonic()
        response = talk(two_workers.port, request, patience=31)
        slowest = max(slowest, time.monotonic() - began)
        assert statuses(response) == responses, (name, response[:200])
        head, _, body = response.partition(b"\r\n\r\n")
        assert b"application/problem+json" in head, name
        assert json.loads(body)["status"] == responses[0]
        found.update(responses)
    others = two_workers.client.get("/health/live").status_code

    report(
        f"{found.total()} hostile requests: {dict(found)}, one answer each, all closed after {slowest:.1f} s at most"
    )
    assert others == 200
    assert slowest < 30


@pytest.fixture(scope="module")
def behind_tls(served_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return the service behind a proxy that ends TLS, with an allowed origin."""
    settings = {"TRUSTED_PROXY_HOPS": "1", "BACKEND_CORS_ORIGINS": PAGE, "WEB_CONCURRENCY": "2"}
    with running(served_database_url, tmp_path_factory.mktemp("tls"), **settings) as served:
        wait_for_workers(served, 2)
        yield served


@pytest.fixture(scope="module")
def caller(behind_tls: Running) -> Account:
    """Return a logged-in account."""
    return account(behind_tls.client)


def everything(client: httpx.Client, caller: Account, **headers: str) -> dict[str, httpx.Response]:
    """Send valid and invalid requests to each route of the OpenAPI document and to others; return the responses."""
    documented = operations(client.get("/openapi.json").json()).keys()
    assert documented == routes().keys()
    more = ["GET /", "GET /openapi.json", "GET /docs/start.js", "GET /nowhere", "PUT /users/me", "HEAD /", "OPTIONS /"]
    ending = {"POST /users/reset-password", "DELETE /auth/sessions", "DELETE /users/me"}  # other requests here need it
    responses = {}
    for route in more:
        method, url = route.split()
        responses[route] = client.request(method, url, headers=caller.bearer | headers)
    for route in sorted(documented - ending):
        responses[route] = client.request(**valid_request(route, caller.bearer | headers))
        responses[f"{route}, by nobody"] = client.request(*address(route), headers=headers)
    return responses


def test_every_response_has_the_security_headers(behind_tls: Running, caller: Account, report: Report) -> None:
    by_tls = everything(behind_tls.client, caller, **{"X-Forwarded-Proto": "https", "Origin": PAGE})
    plain = everything(behind_tls.client, caller, Origin=EVIL)
    pair = behind_tls.client.post("/auth/refresh-token", json={"refresh_token": caller.tokens["refresh_token"]})

    report(f"{len(by_tls) + len(plain)} answers of {len(routes())} routes and more: nosniff, HSTS by TLS only")
    for name, response in (by_tls | {f"plain {name}": response for name, response in plain.items()}).items():
        assert response.headers["X-Content-Type-Options"] == "nosniff", name
        assert "Server" not in response.headers, name
        assert ("Strict-Transport-Security" in response.headers) is not name.startswith("plain"), name
        origin = response.headers.get("Access-Control-Allow-Origin")
        assert origin == (None if name.startswith("plain") else PAGE), name
        assert "Access-Control-Allow-Credentials" not in response.headers, name
    policy = by_tls["GET /"].headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert pair.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "localhost:80@evil.example", "", "127.1"])
def test_unknown_host_is_refused(two_workers: Running, host: str) -> None:
    request = f"GET /users/me HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()

    response = talk(two_workers.port, request)

    assert statuses(response) in ([421], [400])
    assert b"evil" not in response


@pytest.mark.parametrize(("method", "status"), [(b"TRACE", 405), (b"TRACK", 501), (b"CONNECT", 400), (b"DEBUG", 501)])
def test_no_method_echoes_a_request(two_workers: Running, method: bytes, status: int) -> None:
    request = b" / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Secret: planted\r\n\r\n"

    response = talk(two_workers.port, method + request)

    assert statuses(response) == [status]
    assert b"planted" not in response


def test_head_and_options_follow_the_standard(two_workers: Running) -> None:
    """RFC 9110, 9.3.2 and 9.3.7."""
    head = talk(two_workers.port, b"HEAD /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    options = two_workers.client.options("/users/me")
    of_all = talk(two_workers.port, b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    assert statuses(head) == [200]
    assert b"content-length: " in head
    assert head.endswith(b"\r\n\r\n")
    assert statuses(of_all) == [options.status_code] == [204]
    assert options.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS"


@pytest.mark.parametrize(("origin", "may"), [(PAGE, True), (EVIL, False), ("null", False), (PAGE + ".evil", False)])
def test_only_listed_origins_may_call(behind_tls: Running, origin: str, *, may: bool) -> None:
    asked = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}

    preflight = behind_tls.client.options("/users/me", headers=asked | {"Origin": origin})

    allowed = {name: value for name, value in preflight.headers.items() if name.startswith("access-control")}
    assert preflight.status_code == 204
    assert bool(allowed) is may
    assert allowed.get("access-control-allow-origin", origin) == origin
