"""The response and the log entry for each kind of exception."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import httpx
import pytest
from litestar import get
from litestar.exceptions import HTTPException, NotFoundException, PermissionDeniedException
from litestar.params import FromPath
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.support.factories import Factory, LoggedIn, service_client
from tests.support.small_application import small_application

PROBLEM = "application/problem+json"
Logs = list[EventDict]
BROKEN_VIEW = (
    "create or replace view live_session as select id as session_id, user_id from login_session where 1 / 0 = 1"
)


@pytest.fixture
def logs() -> Iterator[Logs]:
    """Return the captured log entries."""
    with capture_logs() as entries:
        yield entries


async def test_unknown_path_is_404_problem(client: httpx.AsyncClient) -> None:
    response = await client.get("/nowhere")

    assert (response.status_code, response.headers["Content-Type"]) == (404, PROBLEM)
    assert response.json() == {
        "type": "/problems/not-found",
        "title": "Not found",
        "status": 404,
        "detail": "Not found",
        "instance": f"urn:uuid:{response.headers['X-Request-ID']}",
    }


@pytest.mark.parametrize("path", ["/nowhere", "//nowhere", "/docs/../settings.py", "/docs/%00", "/\N{GRINNING FACE}"])
async def test_unusual_path_is_404(client: httpx.AsyncClient, user: LoggedIn, path: str) -> None:
    response = await client.get(f"http://localhost{path}", headers=user.bearer)

    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/users/register", {"POST", "OPTIONS"}),
        ("DELETE", "/", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/auth/access-token", {"POST", "OPTIONS"}),
        ("BREW", "/users/me", {"GET", "HEAD", "DELETE", "OPTIONS"}),
        ("POST", "/openapi.json", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/docs/start.js", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_wrong_method_is_405_with_allow(
    client: httpx.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    response = await client.request(method, path)

    assert (response.status_code, response.headers["Content-Type"]) == (405, PROBLEM)
    assert response.json()["type"] == "/problems/method-not-allowed"
    assert set(response.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("limit=many", "Expected int, got str"),
        ("limit=", "Expected int, got str"),
        ("limit=%ff", "is not UTF-8"),
        ("limit=0", "Expected int >= 1"),
        ("limit=1001", "Expected int <= 1000"),
        (f"limit={'9' * 5000}", "Integer value out of range"),
    ],
)
async def test_invalid_query_value_is_named(kites: httpx.AsyncClient, user: LoggedIn, query: str, detail: str) -> None:
    response = await kites.get(f"/kites/me?{query}", headers=user.bearer)

    problem = response.json()
    assert (response.status_code, problem["type"]) == (422, "/problems/invalid-input")
    assert problem["errors"] == [{"pointer": "/limit", "detail": detail}]
    assert problem["detail"] == f"/limit: {detail}"


@pytest.mark.parametrize("path", ["/kites/0", "/kites/-1", "/kites/train", f"/kites/{2**63}", f"/kites/{'9' * 4000}"])
async def test_impossible_id_is_404(kites: httpx.AsyncClient, user: LoggedIn, path: str) -> None:
    response = await kites.get(path, headers=user.bearer)

    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


async def test_malformed_host_is_malformed_request(client: httpx.AsyncClient) -> None:
    response = await client.get("/health/live", headers={"Host": "two hosts"})

    assert (response.status_code, response.json()["type"]) == (400, "/problems/malformed-request")
    assert response.json()["detail"] == "Invalid host header"


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"username", {"Content-Type": "application/x-www-form-urlencoded"}, 400),
        (b"x" * 65_537, {"Content-Type": "application/x-www-form-urlencoded"}, 413),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"", {"Content-Type": "application/x-www-form-urlencoded"}, 422),
    ],
)
async def test_token_endpoint_errors_follow_oauth(
    client: httpx.AsyncClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    """RFC 6749, 5.2."""
    response = await client.post("/auth/access-token", content=content, headers=headers)

    problem = response.json()
    assert response.status_code == status
    assert (problem["error"], problem["error_description"]) == ("invalid_request", problem["detail"])


async def test_named_error_keeps_its_name(client: httpx.AsyncClient) -> None:
    response = await client.post("/auth/refresh-token", json={"refresh_token": "forged"})

    assert response.json()["error"] == "invalid_grant"


@pytest.mark.usefixtures("logs")
async def test_internal_error_reveals_nothing(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    await connection.execute(BROKEN_VIEW)

    response = await client.get("/users/me", headers=user.bearer)

    assert (response.status_code, response.headers["Content-Type"]) == (500, PROBLEM)
    assert response.json() == {
        "type": "/problems/internal-error",
        "title": "Internal server error",
        "status": 500,
        "detail": "Internal server error",
        "instance": f"urn:uuid:{response.headers['X-Request-ID']}",
    }


async def test_internal_error_is_logged_once_with_its_request(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection, logs: Logs
) -> None:
    await connection.execute(BROKEN_VIEW)

    response = await client.get("/users/me", headers=user.bearer)

    entry, access = logs
    assert isinstance(entry.pop("exc_info"), asyncpg.DivisionByZeroError)
    assert entry == {
        "log_level": "error",
        "event": "request failed",
        "method": "GET",
        "path": "/users/me",
        "request_id": response.headers["X-Request-ID"],
    }
    assert (access["event"], access["status"], access["request_id"]) == ("request", 500, entry["request_id"])


async def test_failed_test_shows_a_plain_traceback(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    await connection.execute(BROKEN_VIEW)

    await client.get("/users/me", headers=user.bearer)

    shown = capsys.readouterr().out
    assert "DivisionByZeroError: division by zero" in shown
    assert "locals" not in shown


@pytest.mark.usefixtures("logs")
async def test_more_rows_than_declared_are_500(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "create or replace view live_session as"
        " select id as session_id, user_id from login_session cross join generate_series(1, 2)"
    )

    response = await client.get("/users/me", headers=user.bearer)

    assert (response.status_code, response.json()["type"]) == (500, "/problems/internal-error")


@pytest.mark.usefixtures("logs")
async def test_internal_error_is_not_an_oauth_invalid_request(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection
) -> None:
    await connection.execute("alter table login_session add check (generation > 1) not valid")

    response = await client.post("/auth/access-token", data={"username": user.email, "password": user.password})

    assert response.status_code == 500
    assert "error" not in response.json()


async def test_client_errors_are_not_logged(client: httpx.AsyncClient, logs: Logs) -> None:
    await client.get("/nowhere")
    await client.get("/users/me")
    await client.post("/users/register", content=b"{", headers={"Content-Type": "application/json"})

    assert logs == []


async def test_response_is_json_with_content_length(client: httpx.AsyncClient, make: Factory) -> None:
    user = await make.user("żółw@example.com")

    response = await client.get("/users/me", headers=user.bearer)

    assert response.json()["email"] == "żółw@example.com"
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Content-Length"] == str(len(response.content))


async def test_empty_response_has_no_content_type(kites: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await kites.get("/kites/1", headers=user.bearer | {"If-None-Match": "*"})

    assert (response.status_code, response.content) == (304, b"")
    assert "Content-Type" not in response.headers
    assert response.headers["ETag"] == '"1"'


@get("/raises/{status:int}")
async def raises(status: FromPath[int]) -> None:
    raise HTTPException(status_code=status, detail="In these words", headers={"X-Mine": "yes"})


@get("/forbids")
async def forbids() -> None:
    raise PermissionDeniedException


@get("/unknown")
async def unknown() -> None:
    raise NotFoundException


@pytest.fixture(scope="module")
async def raising() -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of handlers that raise Litestar's exceptions."""
    async with service_client(small_application([raises, forbids, unknown])) as client:
        yield client


@pytest.mark.parametrize(
    ("status", "kind", "title"),
    [
        (401, "/problems/not-authenticated", "Authentication required"),
        (402, "about:blank", "Payment Required"),
        (403, "/problems/forbidden", "Not allowed"),
        (404, "/problems/not-found", "Not found"),
        (409, "about:blank", "Conflict"),
        (410, "about:blank", "Gone"),
        (418, "about:blank", "I'm a Teapot"),
        (422, "/problems/invalid-input", "The input is not valid"),
        (429, "about:blank", "Too Many Requests"),
        (499, "about:blank", "Unknown status"),
        (501, "/problems/not-implemented", "Not implemented"),
        (502, "about:blank", "Bad Gateway"),
        (503, "/problems/unavailable", "Service temporarily unavailable"),
    ],
)
async def test_exceptions_of_litestar_keep_status_and_detail(
    raising: httpx.AsyncClient, status: int, kind: str, title: str
) -> None:
    response = await raising.get(f"/raises/{status}")

    problem = response.json()
    assert (response.status_code, response.headers["Content-Type"]) == (status, PROBLEM)
    assert [problem[name] for name in ("status", "type", "title", "detail")] == [status, kind, title, "In these words"]
    assert response.headers["X-Mine"] == "yes"
    assert response.headers.get("Retry-After") == ("1" if status in {429, 503} else None)


async def test_500_of_litestar_reveals_nothing(raising: httpx.AsyncClient, logs: Logs) -> None:
    response = await raising.get("/raises/500")

    assert (response.status_code, response.json()["detail"]) == (500, "Internal server error")
    assert [entry["event"] for entry in logs] == ["request failed", "request"]


async def test_exception_without_detail_has_its_title(raising: httpx.AsyncClient) -> None:
    assert (await raising.get("/forbids")).json()["detail"] == "Not allowed"
    assert (await raising.get("/unknown")).json()["detail"] == "Not found"
