"""The fast path gives the same responses as Litestar's router."""

import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from litestar.types import Message, Scope

from service.app import CONTROLLERS, Service, create_app
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import LoggedIn, service_client
from tests.support.kites import KitesController

ROUTES = ["GET /auth/sessions", "GET /users/me", "GET /kites/me", "POST /kites/create"]
JSON = {"Content-Type": "application/json"}
REQUESTS: Mapping[str, dict[str, Any]] = {
    "plain": {},
    "with a body": {"content": b'{"kite_name": "Ada"}', "headers": JSON},
    "with a body that is wrong": {"content": b'{"kite_name": ""}', "headers": JSON},
    "with a body that lacks a field": {"content": b"{}", "headers": JSON},
    "with a body that is no JSON": {"content": b"{", "headers": JSON},
    "with a body that is too large": {"content": b" " * 65_537, "headers": JSON},
    "with a body of another kind": {"content": b"<xml/>", "headers": {"Content-Type": "text/xml"}},
    "with a body that is compressed": {"content": b"", "headers": {**JSON, "Content-Encoding": "gzip"}},
    "with an unknown parameter": {"params": {"order": "name"}},
    "with a parameter": {"params": {"limit": "1"}},
    "with a parameter that is wrong": {"params": {"limit": "none"}},
    "with a header": {"content": b'{"kite_name": "Ada"}', "headers": {**JSON, "Idempotency-Key": "mine"}},
    "with a header that is wrong": {"content": b'{"kite_name": "Ada"}', "headers": {**JSON, "Idempotency-Key": ""}},
    "with a token that is none": {"headers": {"Authorization": "Bearer none"}},
    "for a host that cannot be one": {"headers": {"Host": "<here>"}},
    "from a page of another origin": {"headers": {"Origin": "https://page.example.com"}},
}
# Headers that differ between responses.
OWN_FIELDS = {"x-request-id", "location", "etag", "content-length"}
OWN = re.compile(rb'"(instance|request_id|id)":("[^"]*"|\d+)')


@pytest.fixture(scope="module")
def open_app(database_url: str, one_transaction: OneTransaction) -> Service:
    """Return the service for any host, with one other allowed origin."""
    settings = make_settings(database_url, ALLOWED_HOSTS="*", BACKEND_CORS_ORIGINS="https://page.example.com")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.app.CONTROLLERS", [*CONTROLLERS, KitesController])
        return create_app(settings, one_transaction)


@pytest.fixture(scope="module")
def slow_app(database_url: str, one_transaction: OneTransaction) -> Service:
    """Return the same service without the fast path."""
    settings = make_settings(database_url, ALLOWED_HOSTS="*", BACKEND_CORS_ORIGINS="https://page.example.com")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.app.CONTROLLERS", [*CONTROLLERS, KitesController])
        patch.setattr("service.app.fast_path_middleware", lambda _, router: router)
        return create_app(settings, one_transaction)


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("route", ROUTES)
async def test_fast_path_and_litestar_give_the_same_response(
    open_app: Service, slow_app: Service, user: LoggedIn, route: str, request_: dict[str, Any]
) -> None:
    method, path = route.split()
    sent = {**request_, "headers": user.bearer | request_.get("headers", {})}

    async with service_client(open_app) as fast, service_client(slow_app) as slow:
        short, long = [await client.request(method, path, **sent) for client in (fast, slow)]

    assert _same(short) == _same(long)


def _same(response: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    headers = {name: value for name, value in response.headers.items() if name not in OWN_FIELDS}
    return response.status_code, headers, OWN.sub(b"", response.content)


async def test_hooks_around_messages_are_called(open_app: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def hook(message: Message, _: Scope) -> None:
        seen.append(message["type"])

    monkeypatch.setattr(open_app, "before_send", [hook])
    async with service_client(open_app) as client:
        await client.get("/users/me")

    assert seen == ["http.response.start", "http.response.body"]
