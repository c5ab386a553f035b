"""The fast path gives the same responses as Litestar's router."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import httpx
import pytest
from litestar import Request, get, post
from litestar.background_tasks import BackgroundTask
from litestar.config.app import AppConfig
from litestar.config.compression import CompressionConfig
from litestar.config.csrf import CSRFConfig
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, HeaderParameter, JSONBody, URLEncodedBody
from litestar.plugins import InitPlugin
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from service.app import CONTROLLERS, Service, create_app
from service.http.errors import exception_handler
from service.http.request import ServiceRequest
from service.http.response import JSONResponse
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import LoggedIn, service_client
from tests.support.kites import KitesController
from tests.support.small_application import small_application

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


@get("/plain")
async def plain(request: ServiceRequest) -> JSONResponse[str]:
    """Take only the request."""
    return JSONResponse(f"{request.method} {request.path_params}")


@get("/alone")
async def alone() -> JSONResponse[str]:
    """Take nothing."""
    return JSONResponse("alone")


@get("/cached", cache=True)
async def cached(request: ServiceRequest) -> JSONResponse[str]:
    """Have a cache."""
    return JSONResponse(request.method)


@get("/needy")
async def needy(request: ServiceRequest, word: Annotated[str, HeaderParameter(name="X-Word")]) -> JSONResponse[str]:
    """Take a header that must be sent."""
    return JSONResponse(request.method + word)


def refuse(_: ASGIConnection[Any, Any, Any, Any], __: BaseRouteHandler) -> None:
    """Refuse nothing."""


async def after(response: Any) -> Any:  # noqa: ANN401 - as Litestar has it
    """Change nothing."""
    return response


@get("/guarded", guards=[refuse])
async def guarded(request: ServiceRequest) -> JSONResponse[str]:
    """Have a guard."""
    return JSONResponse(request.method)


@get("/followed", after_request=after)
async def followed(request: ServiceRequest) -> JSONResponse[str]:
    """Have a hook after the response."""
    return JSONResponse(request.method)


async def close(_: Request[Any, Any, Any]) -> JSONResponse[str]:
    """Answer instead of every handler."""
    return JSONResponse("closed", status_code=418)


@get("/closed", before_request=close)
async def closed(request: ServiceRequest) -> JSONResponse[str]:
    """Answer unless the hook does."""
    return JSONResponse(request.method)


@get("/own-errors", exception_handlers={ValueError: exception_handler})
async def own_errors(request: ServiceRequest) -> JSONResponse[str]:
    """Have an exception handler."""
    return JSONResponse(request.method)


@get("/injected", dependencies={"word": Provide(lambda: "word", sync_to_thread=False)})
async def injected(request: ServiceRequest, word: NamedDependency[str]) -> JSONResponse[str]:
    """Have a dependency."""
    return JSONResponse(request.method + word)


@get("/items/{item:int}")
async def item(request: ServiceRequest, item: FromPath[int]) -> JSONResponse[int]:
    """Take a path parameter."""
    return JSONResponse(item + len(request.method))


@get("/any/{item:int}")
async def anything(request: ServiceRequest) -> JSONResponse[str]:
    """Ignore a path parameter."""
    return JSONResponse(request.method)


@get("/text")
async def text(request: ServiceRequest) -> str:
    """Return a response of Litestar's own."""
    return request.method


@get("/sync", sync_to_thread=False)
def sync(request: ServiceRequest) -> JSONResponse[str]:
    """Be a synchronous handler."""
    return JSONResponse(request.method)


@post("/form")
async def form(request: ServiceRequest, data: URLEncodedBody[dict[str, str]]) -> JSONResponse[str]:
    """Take a form."""
    return JSONResponse(request.method + str(data))


@post("/optional")
async def optional(request: ServiceRequest, data: JSONBody[dict[str, str] | None] = None) -> JSONResponse[str]:
    """Take an optional body."""
    return JSONResponse(request.method + str(data))


GETS = [plain, alone, cached, needy, guarded, followed, own_errors, injected, closed, item, anything, text, sync]
HANDLERS = [*GETS, form, optional]


async def _path_of(path: str, method: str = "GET", **options: Any) -> str:  # noqa: ANN401 - Litestar's options
    """Return the path that a request for `path` takes in an application with these options."""
    taken = "the fast path"

    def around(router: ASGIApp) -> ASGIApp:
        async def litestars(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal taken
            taken = "Litestar's path"
            await router(scope, receive, send)

        return litestars

    async with service_client(small_application(HANDLERS, around=around, **options)) as client:
        response = await client.request(method, path)
    assert response.status_code < 500
    return taken


async def test_simple_handler_takes_the_fast_path() -> None:
    assert await _path_of("/plain") == "the fast path"


@pytest.mark.parametrize(
    "path",
    [
        "/plain?a=1",
        "/pl%61in",
        "/alone",
        "/cached",
        "/needy",
        "/guarded",
        "/followed",
        "/own-errors",
        "/injected",
        "/items/1",
        "/text",
        "/sync",
        "/nowhere",
    ],
)
async def test_other_handlers_take_litestars_path(path: str) -> None:
    assert await _path_of(path) == "Litestar's path"


@pytest.mark.parametrize("path", ["/form", "/optional"])
async def test_optional_or_non_json_body_takes_litestars_path(path: str) -> None:
    assert await _path_of(path, "POST") == "Litestar's path"


class OwnHandlers(InitPlugin):
    """A plugin that adds an exception handler, as instrumentations do."""

    @override
    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add an exception handler."""
        app_config.exception_handlers[KeyError] = exception_handler
        return app_config


async def note(_: Exception, __: Scope) -> None:
    """Do nothing."""


def passing(app: ASGIApp) -> ASGIApp:
    """Pass everything on."""
    return app


OF_APPLICATION: Mapping[str, dict[str, Any]] = {
    "hooks after exceptions": {"after_exception": [note]},
    "hooks after requests": {"after_request": after},
    "hooks after responses": {"after_response": note},
    "csrf": {"csrf_config": CSRFConfig(secret="s" * 32)},
    "compression": {"compression_config": CompressionConfig(backend="gzip")},
    "hosts": {"allowed_hosts": ["localhost"]},
    "handlers of other exceptions": {"exception_handlers": {KeyError: exception_handler}},
    "another handler of exceptions": {"exception_handlers": {Exception: lambda request, _: plain(request)}},
    "plugin": {"plugins": [OwnHandlers()]},
    "middleware": {"middleware": [passing]},
    "guards": {"guards": [refuse]},
    "headers": {"response_headers": {"X-Mine": "yes"}},
    "cookies": {"response_cookies": {"mine": "yes"}},
    "parameters": {"parameters": {"mine": HeaderParameter(name="X-Mine", annotation=str, required=False)}},
    "type decoders": {"type_decoders": [(lambda _: False, lambda _, value: value)]},
}


@pytest.mark.parametrize("options", OF_APPLICATION.values(), ids=OF_APPLICATION)
async def test_settings_of_the_application_take_litestars_path(options: dict[str, Any]) -> None:
    assert await _path_of("/plain", **options) == "Litestar's path"


async def test_headers_and_cookies_of_the_application_are_sent() -> None:
    options: dict[str, Any] = {"response_headers": {"X-Mine": "yes"}, "response_cookies": {"mine": "yes"}}

    @get("/adorned")
    async def adorned(request: ServiceRequest) -> JSONResponse[str]:
        return JSONResponse(request.method)

    async with service_client(small_application([adorned], **options)) as client:
        response = await client.get("/adorned")

    assert (response.headers["X-Mine"], response.cookies["mine"]) == ("yes", "yes")


async def test_background_task_runs_after_the_response() -> None:
    done: list[str] = []

    @get("/followed-up", background=BackgroundTask(done.append, "it"))
    async def followed_up(request: ServiceRequest) -> JSONResponse[str]:
        return JSONResponse(request.method)

    async with service_client(small_application([followed_up])) as client:
        await client.get("/followed-up")

    assert done == ["it"]


@pytest.mark.parametrize("query", [{}, {"a": "1"}])
async def test_background_task_of_the_response_runs(query: dict[str, str]) -> None:
    """A query string leads past the fast path."""
    done: list[str] = []

    @get("/followed-up")
    async def followed_up(request: ServiceRequest) -> JSONResponse[str]:
        return JSONResponse(request.method, background=BackgroundTask(done.append, "it"))

    async with service_client(small_application([followed_up])) as client:
        await client.get("/followed-up", params=query)

    assert done == ["it"]


async def test_hooks_around_messages_are_called(open_app: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def hook(message: Message, _: Scope) -> None:
        seen.append(message["type"])

    monkeypatch.setattr(open_app, "before_send", [hook])
    async with service_client(open_app) as client:
        await client.get("/users/me")

    assert seen == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize("path", ["/closed", "/closed?a=1"])
async def test_response_of_a_hook_is_sent(path: str) -> None:
    async with service_client(small_application([closed])) as client:
        response = await client.get(path)

    assert (response.status_code, response.json()) == (418, "closed")
