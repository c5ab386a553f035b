"""Which handlers take the fast path; what Litestar does for a request is done there, too."""

from collections.abc import Mapping
from typing import Annotated, Any

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
from litestar.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from service.http.errors import exception_handler
from service.http.request import ServiceRequest
from service.http.response import JSONResponse
from tests.support.factories import service_client
from tests.support.small_application import small_application


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


@pytest.mark.parametrize("path", ["/closed", "/closed?a=1"])
async def test_response_of_a_hook_is_sent(path: str) -> None:
    async with service_client(small_application([closed])) as client:
        response = await client.get(path)

    assert (response.status_code, response.json()) == (418, "closed")
