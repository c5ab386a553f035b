"""The outermost middleware: request id, host check, security headers."""

import re
import subprocess
import sys

import httpx
import pytest

from service.app import Service, create_app
from service.http.middleware import request_middleware
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import LoggedIn, service_client
from tests.support.processes import ROOT
from tests.support.routes import guarded, valid_request


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/live", 200),
        ("GET", "/", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/users/me", 405),
        ("OPTIONS", "/health/live", 204),
        ("GET", "/users/me", 401),
    ],
)
async def test_every_response_has_a_request_id(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    response = await client.request(method, path)

    assert response.status_code == status
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", response.headers["X-Request-ID"])


async def test_request_ids_are_unique(client: httpx.AsyncClient) -> None:
    """An id sent by the client is not trusted."""
    mine = "6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1a"
    responses = [await client.get("/health/live", headers={"X-Request-ID": mine}) for _ in range(2)]

    assert len({mine} | {response.headers["X-Request-ID"] for response in responses}) == 3


def test_request_ids_of_workers_differ() -> None:
    """Workers are forked from a process that has already generated ids."""
    program = (
        "import os; from service.http.middleware import new_request_id as new; "
        "os.fork(); os.write(1, f'{new()} '.encode())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert len(set(done.stdout.split())) == 2


MALFORMED = ["localhost:80@evil.example", "localhost:x", "localhost:\xb2", "local host", "[::1", "[localhost]"]
MALFORMED += ["localhost:65536", "localhost:1234567"]
UNKNOWN = ["evil.example", "localhost.evil.example", "evil-localhost", "", "[::1]", "localhost."]
IS_MALFORMED = 400, "/problems/malformed-request", "The Host header is malformed"
IS_UNKNOWN = 421, "/problems/unknown-host", "This service does not serve that host"


@pytest.mark.parametrize(
    ("host", "refusal"),
    [*((host, IS_UNKNOWN) for host in UNKNOWN), *((host, IS_MALFORMED) for host in MALFORMED)],
    ids=[*UNKNOWN, *MALFORMED],
)
async def test_host_that_is_not_served_is_refused(
    client: httpx.AsyncClient, host: str, refusal: tuple[int, str, str]
) -> None:
    """RFC 9112, 3.2; RFC 9110, 15.5.20."""
    response = await client.get("/metrics-of-others", headers={b"Host": host.encode("latin-1")})

    problem = response.json()
    assert (response.status_code, problem["type"], problem["detail"]) == refusal
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["instance"] == f"urn:uuid:{response.headers['X-Request-ID']}"


async def test_missing_host_is_421(client: httpx.AsyncClient) -> None:
    request = client.build_request("GET", "/")
    del request.headers["Host"]

    assert (await client.send(request)).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "localhost:8000", "127.0.0.1:8000"])
async def test_host_matches_in_any_case_and_port(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_health_is_served_under_any_host(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path, headers={"Host": "10.1.2.3:5000"})).status_code == 200


@pytest.fixture(scope="module")
def app_of_many_hosts(database_url: str, one_transaction: OneTransaction) -> Service:
    """Return a service with every form of allowed host."""
    settings = make_settings(database_url, ALLOWED_HOSTS=".Example.com,api.example.org,[::1]")
    return create_app(settings, one_transaction)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("example.com", 200),
        ("api.eu.Example.com:443", 200),
        ("notexample.com", 421),
        ("example.com.evil.example", 421),
        ("API.example.org", 200),
        ("example.org", 421),
        ("v2.api.example.org", 421),
        ("[::1]:8000", 200),
        ("[::1]", 200),
        ("[::1]evil.example", 400),
        ("a].example.com", 400),
        ("[::2]:8000", 421),
    ],
)
async def test_leading_dot_allows_subdomains(app_of_many_hosts: Service, host: str, status: int) -> None:
    async with service_client(app_of_many_hosts) as client:
        assert (await client.get("/", headers={"Host": host})).status_code == status


async def test_star_allows_every_host(database_url: str, one_transaction: OneTransaction) -> None:
    app = create_app(make_settings(database_url, ALLOWED_HOSTS="*"), one_transaction)

    async with service_client(app) as client:
        assert (await client.get("/", headers={"Host": "anything.example"})).status_code == 200


@pytest.mark.parametrize(
    ("hops", "scheme", "proto", "secure"),
    [
        (0, "http", "", False),
        (0, "http", "https", False),
        (0, "https", "", True),
        (1, "http", "", False),
        (1, "http", "http", False),
        (1, "http", "https", True),
    ],
)
async def test_hsts_is_sent_over_tls_only(app: Service, hops: int, scheme: str, proto: str, *, secure: bool) -> None:
    transport = httpx.ASGITransport(request_middleware(app, ["localhost"], hops))  # type: ignore[arg-type]  # Litestar's own types

    async with httpx.AsyncClient(transport=transport) as client:
        headers = {"X-Forwarded-Proto": proto, "Referer": "https://localhost/"}
        response = await client.get(f"{scheme}://localhost/nowhere", headers=headers)

    assert ("strict-transport-security" in response.headers) is secure


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/docs/start.js", "/health/live", "/nowhere", "/users/me"])
async def test_every_response_has_nosniff(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("route", sorted(guarded()))
async def test_authenticated_response_is_not_stored(client: httpx.AsyncClient, user: LoggedIn, route: str) -> None:
    response = await client.request(**valid_request(route, user.bearer))

    expected = "private, no-cache" if "ETag" in response.headers else "no-store"
    assert response.headers.get_list("Cache-Control") == [expected]


async def test_trace_is_405(client: httpx.AsyncClient) -> None:
    """It could show a page of another origin the headers it sent, such as cookies."""
    assert (await client.request("TRACE", "/")).status_code == 405


@pytest.mark.parametrize(("origin", "allowed"), [("https://app.example.com", True), ("https://evil.example", False)])
@pytest.mark.parametrize("path", ["/health/live", "/users/me", "/nowhere", "/pets/1/", "//pets/1", "/pets%2F1"])
async def test_only_listed_origins_may_read(
    database_url: str, one_transaction: OneTransaction, origin: str, path: str, *, allowed: bool
) -> None:
    app = create_app(make_settings(database_url, BACKEND_CORS_ORIGINS="https://app.example.com"), one_transaction)

    async with service_client(app) as client:
        response = await client.get(path, headers={"Origin": origin})

    assert (response.headers.get("Access-Control-Allow-Origin") == origin) is allowed
    assert "Access-Control-Allow-Credentials" not in response.headers


async def test_no_origin_may_read_by_default(client: httpx.AsyncClient) -> None:
    response = await client.get("/health/live", headers={"Origin": "https://app.example.com"})

    assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.fixture(scope="module")
def app_behind_a_proxy(database_url: str, one_transaction: OneTransaction) -> Service:
    """Return a service that trusts one proxy."""
    return create_app(make_settings(database_url, TRUSTED_PROXY_HOPS="1"), one_transaction)


@pytest.mark.parametrize("name", ["6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1a", "6F0C9A3E53A84F1E9C4C0D8F8F3F6B1A"])
async def test_trusted_proxy_may_set_the_request_id(app_behind_a_proxy: Service, name: str) -> None:
    async with service_client(app_behind_a_proxy) as client:
        response = await client.get("/nowhere", headers={"X-Request-ID": name})

    assert response.headers["X-Request-ID"] == name
    assert response.json()["instance"] == "urn:uuid:6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1a"


@pytest.mark.parametrize(
    "names",
    [
        ["mine"],
        ["6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1a\r\nx: y"],
        ["6f0c9a3e53a8-4f1e-9c4c-0d8f8f3f6b1a"],
        ["6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1a", "6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1b"],
    ],
)
async def test_malformed_request_id_is_replaced(app_behind_a_proxy: Service, names: list[str]) -> None:
    async with service_client(app_behind_a_proxy) as client:
        response = await client.get("/nowhere", headers=[("X-Request-ID", name) for name in names])

    assert response.headers["X-Request-ID"] not in names
