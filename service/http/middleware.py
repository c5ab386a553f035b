"""What each request passes first: it gets an id, and is answered only if it is meant for us."""

import asyncio
import random
import re
from collections.abc import Awaitable, Collection
from functools import lru_cache
from time import perf_counter

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from service.http.client_address import client_address
from service.http.errors import exception_handler
from service.http.request import ServiceRequest
from service.problems import Problem, Unavailable, UnknownHost
from service.telemetry import RequestContext, current, log, log_request, recorder

# Browsers take an answer for what it says it is.
PLAIN = [(b"x-content-type-options", b"nosniff")]
# … and come back by TLS only, for two years (RFC 6797). What other hosts of the domain do is not ours to say.
SECURE = [*PLAIN, (b"strict-transport-security", b"max-age=63072000")]


# Why the server cancels the task of a request whose client has disconnected, and the status that nginx logs for it.
CLIENT_GONE = "client disconnected"
GONE = 499
ASKED_BY_ADDRESS = ("/health/", "/metrics")
# What a host may be written with, an address of IPv6 included (RFC 3986, 3.2.2).
NO_HOST = "?"
HOST = re.compile(r"[a-z0-9!$&'()*+,;=._~%\[\]:-]*")
# A UUID as proxies write it: nginx's $request_id has no hyphens.
REQUEST_ID = re.compile(rb"[\da-fA-F]{8}(-?)[\da-fA-F]{4}(\1[\da-fA-F]{4}){2}\1[\da-fA-F]{12}")


def request_middleware(app: ASGIApp, allowed_hosts: Collection[str], trusted_hops: int = 0) -> ASGIApp:
    """Wrap `app`: each request gets an id, ``scope["request_id"]``, which is sent back as ``X-Request-ID``.

    Behind trusted proxies, `trusted_hops` of them, the id is the one that they send, if it is a UUID. When the request
    has been answered, the access log tells of it, and metrics count it. Answers by TLS say
    Strict-Transport-Security, where a proxy ended it, too.

    A request for a host that is not one of `allowed_hosts` is refused: its answer could be kept by a cache for
    another site, or carry links to it. ``*`` allows all, ``.example.com`` that domain and all below it. Health checks
    and metrics are exempt, because platforms and Prometheus ask by address.
    """
    names = {host.lower() for host in allowed_hosts}

    @lru_cache(64)  # each request asks: 2 µs, not 0.1; few, for a client may send 32 KiB
    def is_allowed(host: bytes) -> bool:
        return _allowed(_host_name(host), names)

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        request_id = (_given_id(scope) if trusted_hops else None) or new_request_id()
        context = RequestContext(request_id, client_address(scope, trusted_hops), scope["path"])
        before = current.set(context)
        scope["request_id"] = request_id  # type: ignore[typeddict-unknown-key]
        by_name = scope["header_map"] = dict(scope["headers"])  # type: ignore[typeddict-unknown-key]  # for ServiceRequest
        more = SECURE if scope.get("scheme") == "https" or (trusted_hops and _by_tls(scope)) else PLAIN
        status = 0

        def send_with_id(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *more, (b"x-request-id", request_id.encode())]
            return send(message)

        try:
            if is_allowed(by_name.get(b"host", b"")) or scope["path"].startswith(ASKED_BY_ADDRESS):
                await app(scope, receive, send_with_id)
            else:
                await _refuse(scope, receive, send_with_id, UnknownHost())
        except asyncio.CancelledError as reason:
            if reason.args == (CLIENT_GONE,):  # there is nobody to tell, and nothing is wrong
                status = GONE
                log.info("client disconnected", request_id=request_id, path=scope["path"])
            elif not status:
                await _refuse(scope, receive, send_with_id, Unavailable("The service is shutting down"))
        finally:
            status = status or 500
            method, route, seconds = scope["method"], scope.get("path_template"), perf_counter() - began  # type: ignore[typeddict-item]
            log_request(context, method, route, status, seconds)
            if recorder.is_on:
                recorder.request(method, route, status, seconds)
            current.reset(before)  # whoever calls without a task for each request goes on without this one's deadline

    return dispatch


async def _refuse(scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
    await exception_handler(ServiceRequest(scope), problem)(scope, receive, send)


def _given_id(scope: Scope) -> str | None:
    """Return the one ``X-Request-ID`` that came with the request, if it is a UUID."""
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    return given[0].decode() if len(given) == 1 and REQUEST_ID.fullmatch(given[0]) else None


def new_request_id() -> str:
    """Return a random UUID (RFC 9562, 5.4) as text.

    It is a name and no secret: it needs no system call, as ``uuid4()`` does, for a fifth of its time. After a fork,
    Python itself begins another row of numbers.
    """
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _by_tls(scope: Scope) -> bool:
    """Tell whether a proxy says so. A client that lies to one gains nothing: it would have to believe itself."""
    return any(name == b"x-forwarded-proto" and b"https" in value for name, value in scope["headers"])


def _host_name(field: bytes) -> str:
    """Return the host of a Host field, without its port; NO_HOST where what should be a port is none."""
    host = field.decode("latin-1").lower()
    end = host.find("]") + 1 if host.startswith("[") else host.find(":")
    host, port = (host[:end], host[end:].removeprefix(":")) if end >= 0 else (host, "")
    return host if not port or port.isdigit() else NO_HOST


def _allowed(host: str, names: Collection[str]) -> bool:
    if host in names:
        return True
    if not HOST.fullmatch(host):
        return False
    return "*" in names or any(name.startswith(".") and (host == name[1:] or host.endswith(name)) for name in names)
