"""The assembled application."""

import asyncio
from importlib import import_module
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from service.app import Service, create_app
from service.postgres.queries import Value
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import service_client
from tests.support.statements import Statements

ADA = {"email": "ada@example.com", "password": "some long password"}
PAGE = {"Origin": "https://app.example.com"}
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


async def test_connections_are_open_while_the_service_runs(own_database_url: str) -> None:
    app = create_app(make_settings(own_database_url))
    admin = await asyncpg.connect(own_database_url)
    others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"

    async with app.lifespan(), service_client(app) as client:
        assert (await client.get("/health/ready")).status_code == 200
        async with asyncio.timeout(5):  # the pool opens its first connection in the background; readiness has its own
            while await admin.fetchval(others) != 2:
                pass

    async with asyncio.timeout(5):
        while await admin.fetchval(others):
            pass
    await admin.close()


@pytest.mark.parametrize(("settings", "plans"), [("", "force_generic_plan"), ("&plan_cache_mode=auto", "auto")])
async def test_database_has_the_configured_timeouts(
    own_database_url: str, tmp_path: Path, settings: str, plans: str
) -> None:
    limits = {"DATABASE_LOCK_TIMEOUT": "1234", "DATABASE_STATEMENT_TIMEOUT": "1765"}
    app = create_app(make_settings(own_database_url + settings, **limits))
    text = "select concat_ws(' ', {})".format(
        ", ".join(f"current_setting('{name}')" for name in ("lock_timeout", "statement_timeout", "plan_cache_mode"))
    )
    query: Value[..., str] = Value(Statements(tmp_path)("value text", text), str)

    async with app.lifespan():
        assert await app.db.value(query) == f"1234ms 1765ms {plans}"


@pytest.mark.parametrize(
    ("setting", "moment"),
    [
        ("", "1970-01-01T00:00:00+00:00"),
        ("&timezone_abbreviations=Default", "1970-01-01T00:00:00+00:00"),
        ("&timezone=Asia/Tokyo", "1970-01-01T09:00:00+09:00"),
        ("&options=-c%20TimeZone%3DAsia/Tokyo", "1970-01-01T09:00:00+09:00"),
    ],
)
async def test_times_in_json_have_the_zone_of_the_url(
    own_database_url: str, tmp_path: Path, setting: str, moment: str
) -> None:
    """In 1970, the offset of this database's zone had seconds, which a JSON time (RFC 3339) cannot have."""
    admin = await asyncpg.connect(own_database_url)
    name = await admin.fetchval("select quote_ident(current_database())")
    await admin.execute(f"alter database {name} set timezone = 'Africa/Monrovia'")
    await admin.close()
    app = create_app(make_settings(own_database_url + setting))
    text = "select to_jsonb('1970-01-01T00:00Z'::timestamptz) ->> 0"
    query: Value[..., str] = Value(Statements(tmp_path)("value text", text), str)

    async with app.lifespan():
        assert await app.db.value(query) == moment


async def test_outage_is_logged_once_for_both_pools() -> None:
    app = create_app(make_settings("postgresql://127.0.0.1:1/kites"))

    with capture_logs() as logs:
        async with app.lifespan(), service_client(app) as client:
            responses = [await client.get("/health/ready"), await client.post("/users/register", json=ADA)]

    assert [each.status_code for each in responses] == [503, 503]
    assert [entry["event"] for entry in logs if entry["event"] != "request"] == ["database unavailable"]


@pytest.fixture(scope="module")
def app_with_pages(database_url: str, one_transaction: OneTransaction) -> Service:
    """Return a service that accepts calls from pages of two origins."""
    origins = "https://app.example.com,http://localhost:3000"
    return create_app(make_settings(database_url, BACKEND_CORS_ORIGINS=origins), one_transaction)


async def test_allowed_origin_may_call(app_with_pages: Service) -> None:
    async with service_client(app_with_pages) as client:
        response = await client.options("/users/reset-password", headers=PAGE | PREFLIGHT)

    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert "authorization" in response.headers["Access-Control-Allow-Headers"]
    assert "POST" in response.headers["Access-Control-Allow-Methods"]


async def test_allowed_origin_may_read_responses_and_headers(app_with_pages: Service) -> None:
    async with service_client(app_with_pages) as client:
        response = await client.get("/users/me", headers=PAGE)

    assert response.status_code == 401
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert response.headers["Access-Control-Expose-Headers"].endswith(", WWW-Authenticate, X-Request-ID")


async def test_allowed_origin_may_read_every_documented_header(app_with_pages: Service) -> None:
    async with service_client(app_with_pages) as client:
        response = await client.get("/openapi.json", headers=PAGE)

    operations = [each for methods in response.json()["paths"].values() for each in methods.values()]
    documented = {
        name for operation in operations for each in operation["responses"].values() for name in each["headers"]
    }
    exposed_headers = response.headers["Access-Control-Expose-Headers"].split(", ")
    # Cache-Control is always readable (https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name).
    unreadable = documented - {*exposed_headers, "Cache-Control"}
    assert unreadable == set(), "add these to CORS_EXPOSED_HEADERS of service/app.py"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://app.example.com", "https://app.example.com.evil.example", "null"]
)
async def test_other_origin_may_not_call(app_with_pages: Service, origin: str) -> None:
    async with service_client(app_with_pages) as client:
        preflight = await client.options("/users/reset-password", headers=PREFLIGHT | {"Origin": origin})
        response = await client.get("/health/live", headers={"Origin": origin})

    assert preflight.status_code == 204
    assert preflight.headers["Allow"] == "OPTIONS, POST"
    assert not [name for name in preflight.headers if name.startswith("access-control")]
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("headers", [{}, PAGE, {"Origin": "https://evil.example"}], ids=["none", "allowed", "other"])
@pytest.mark.parametrize("path", ["/health/live", "/pets/me/"], ids=["fast path", "refused path"])
async def test_caches_keep_responses_by_origin(app_with_pages: Service, path: str, headers: dict[str, str]) -> None:
    async with service_client(app_with_pages) as client:
        response = await client.get(path, headers=headers)

    assert response.headers.get_list("Vary") == ["Origin"]


@pytest.mark.parametrize("name", ["service.http", "service.sqlcheck", "service.telemetry"])
def test_unknown_name_of_a_package_is_an_attribute_error(name: str) -> None:
    package = import_module(name)

    with pytest.raises(AttributeError, match=rf"^module '{name}' has no attribute 'unknown'$"):
        _ = package.unknown
