"""The outermost middleware: request id, host check, CORS and security headers, access log and metrics."""

import asyncio
import random
import re
from collections.abc import Awaitable, Collection
from functools import lru_cache
from time import perf_counter
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from service.http.client_address import client_address
from service.http.cors import CORS, Headers
from service.http.errors import send_problem
from service.problems import MalformedRequest, Problem, Unavailable, UnknownHost
from service.telemetry import RequestContext, current, log, log_request, recorder

# Stops browsers from guessing another media type; the server's own error responses have it, too (server/cycle.py).
SECURITY_HEADERS = [(b"x-content-type-options", b"nosniff")]
# Browsers then use TLS only, for two years (RFC 6797); this host does not decide for its subdomains.
TLS_SECURITY_HEADERS = [*SECURITY_HEADERS, (b"strict-transport-security", b"max-age=63072000")]

# For authenticated requests and log-ins: caches store nothing (ASVS 5.0, 14.3.2; RFC 6749, 5.1). Browsers store a
# response with an ETag, but revalidate it each time.
NO_STORE, REVALIDATE = (b"cache-control", b"no-store"), (b"cache-control", b"private, no-cache")

# The message with which the server cancels a request whose client has disconnected; nginx logs status 499 for it.
CLIENT_GONE = "client disconnected"
CLIENT_GONE_STATUS = 499
# Platforms and Prometheus request these by IP address.
PATHS_FOR_ANY_HOST = {"/health/live", "/health/ready", "/metrics"}
# Stands for a malformed host; HOST_NAME matches a name or an IPv6 address in brackets (RFC 3986, 3.2.2).
INVALID_HOST = "?"
HOST_NAME = re.compile(r"[a-z0-9!$&'()*+,;=._~%-]*|\[[\da-f:.]+\]")
# Litestar's `request.url` raises an error if the port of the Host is larger.
PORT, MAX_PORT = re.compile(r"[0-9]{0,5}"), 65535
# A UUID, with or without hyphens: nginx's $request_id has none.
REQUEST_ID = re.compile(rb"[\da-fA-F]{8}(-?)[\da-fA-F]{4}(\1[\da-fA-F]{4}){2}\1[\da-fA-F]{12}")


def request_middleware(
    app: ASGIApp, allowed_hosts: Collection[str], trusted_hops: int = 0, cors: CORS | None = None
) -> ASGIApp:
    """Wrap `app`: each request gets an id, ``scope["request_id"]``, returned in the header ``X-Request-ID``.

    Behind proxies (`trusted_hops` is not 0), the id is the proxy's ``X-Request-ID`` if it is a UUID. After each
    request, log it in the access log and count it in the metrics. Responses over TLS, even if a proxy terminates it,
    have ``Strict-Transport-Security``; those to authenticated requests and log-ins have ``Cache-Control``, unless a
    handler set it.

    A ``Host`` that is not in `allowed_hosts` is rejected, because a cache could store the response for another site.
    ``*`` allows all hosts, ``.example.com`` that domain and its subdomains. Health checks and metrics accept any host.

    Each response has the headers of `cors`, which also answers preflights; without it, no other origin is allowed.
    """
    names = {host.lower() for host in allowed_hosts}
    # A small cache, because a client can send names as long as a head.
    is_allowed = lru_cache(64)(lambda host: _is_allowed_host(_host_name(host), names))

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        request_id = (_incoming_request_id(scope) if trusted_hops else None) or new_request_id()
        context = RequestContext(request_id, client_address(scope, trusted_hops), scope["path"])
        token = current.set(context)
        scope["request_id"] = request_id  # type: ignore[typeddict-unknown-key]
        # For ServiceRequest. Servers other than this project's do not set it.
        header_map: Any = scope.get("header_map") or dict(scope["headers"])
        scope["header_map"] = header_map  # type: ignore[typeddict-unknown-key]
        security_headers = (
            TLS_SECURITY_HEADERS
            if scope.get("scheme") == "https" or (trusted_hops and _is_tls_at_proxy(scope))
            else SECURITY_HEADERS
        )
        status = 0

        def send_with_id(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], *security_headers, (b"x-request-id", request_id.encode())]
                headers += _caching_headers(context, headers)
                message["headers"] = [*headers, *cors.response_headers(header_map)] if cors else headers
            return send(message)

        try:
            if cors and scope["method"] == "OPTIONS" and (preflight := cors.preflight_headers(header_map)):  # type: ignore[typeddict-item]  # there are no websockets
                await send_with_id({"type": "http.response.start", "status": 204, "headers": preflight})
                await send_with_id({"type": "http.response.body", "body": b"", "more_body": False})
            elif is_allowed(header_map.get(b"host", b"")) or scope["path"] in PATHS_FOR_ANY_HOST:
                await app(scope, receive, send_with_id)
            else:
                await send_problem(_host_problem(header_map.get(b"host", b"")), scope, receive, send_with_id)
        except asyncio.CancelledError as reason:
            if reason.args == (CLIENT_GONE,):  # not an error, and there is no client to respond to
                status = CLIENT_GONE_STATUS
                log.info("client disconnected", request_id=request_id, path=scope["path"])
            elif not status:
                await send_problem(Unavailable("The service is shutting down"), scope, receive, send_with_id)
        finally:
            status = status or 500
            method, route, seconds = scope["method"], scope.get("path_template"), perf_counter() - began  # type: ignore[typeddict-item]
            log_request(context, method, route, status, seconds)
            if recorder.is_on:
                recorder.request(method, route, status, seconds)
            current.reset(token)  # the caller may run several requests in one task

    return dispatch


def _caching_headers(context: RequestContext, headers: Headers) -> Headers:
    """Return the ``Cache-Control`` that `headers` lack, if the request is authenticated."""
    if not context.user or b"cache-control" in (names := dict(headers)):
        return []
    return [REVALIDATE if b"etag" in names else NO_STORE]


def _incoming_request_id(scope: Scope) -> str | None:
    """Return the ``X-Request-ID`` of the request if it is sent once and is a UUID."""
    values = [value for name, value in scope["headers"] if name == b"x-request-id"]
    return values[0].decode() if len(values) == 1 and REQUEST_ID.fullmatch(values[0]) else None


def new_request_id() -> str:
    """Return a random UUID (RFC 9562, 5.4) as text.

    The id is not a secret, so it needs no system call, unlike ``uuid4()``. After a fork, Python reseeds `random`.
    """
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _is_tls_at_proxy(scope: Scope) -> bool:
    """Return whether a proxy reports TLS. A client that forges the header affects only its own browser."""
    return any(name == b"x-forwarded-proto" and b"https" in value for name, value in scope["headers"])


def _host_name(field: bytes) -> str:
    """Return the host of a ``Host`` header without its port, or INVALID_HOST if the port is not one."""
    host = field.decode("latin-1").lower()
    end = host.find("]") + 1 if host.startswith("[") else host.find(":")
    host, port = (host[:end], host[end:].removeprefix(":")) if end >= 0 else (host, "")
    return host if PORT.fullmatch(port) and int(port or 0) <= MAX_PORT else INVALID_HOST


def _host_problem(field: bytes) -> Problem:
    """Return the problem of a ``Host`` that is not allowed: if it is malformed, 400 (RFC 9112, 3.2).

    Either closes the connection: a client whose connection led to the wrong service needs another one.
    """
    close = {"Connection": "close"}
    if HOST_NAME.fullmatch(_host_name(field)):
        return UnknownHost(headers=close)
    return MalformedRequest("The Host header is malformed", headers=close)


def _is_allowed_host(host: str, names: Collection[str]) -> bool:
    if host in names:
        return True
    if not HOST_NAME.fullmatch(host):
        return False
    return "*" in names or any(name.startswith(".") and (host == name[1:] or host.endswith(name)) for name in names)
