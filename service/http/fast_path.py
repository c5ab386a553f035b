"""The fast path: a request that needs nothing of Litestar but its handler is passed to it directly.

For each request, Litestar looks again for parameters, dependencies, middleware, hooks and exception handlers, and wraps
what it calls for them. A handler whose path has no variables, that takes the request and its body alone, and whose
other parameters the request does not send, is called at once instead, which saves a fifth of a whole request. Every
other request takes Litestar's path, which gives the same response: `tests/http/test_fast_path.py` compares the two.
"""

from collections.abc import Callable
from typing import Any, get_origin

import attrs
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.typing import FieldDefinition

from service.http.errors import exception_handler
from service.http.etags import joined_lists
from service.http.request import ServiceRequest
from service.http.response import JSONResponse
from service.http.routing import is_json
from service.problems import NotFound

# What a handler may ask for, and what it may leave to the request.
GIVEN = {"request", "data"}
LEFT = (HeaderParameter, QueryParameter)


@attrs.frozen
class FastRoute:
    """What is known of a handler before a request arrives; `headers` are those that it asks for."""

    handler: HTTPRouteHandler
    call: Callable[..., Any]
    before: Callable[..., Any] | None
    takes_data: bool
    headers: frozenset[bytes]
    template: str


def with_fast_path(app: Litestar, router: ASGIApp) -> ASGIApp:
    """Wrap `router`, the ASGI handler of `app`: requests that need nothing of it go to their handlers directly.

    A path that is another spelling of a resource's (``/pets/1/``, ``//pets/1``, ``/pets%2F1``) is 404; Litestar would
    serve it.
    """
    # Litestar answers a page of another origin with fields that let it read the response.
    always = {b"origin"} if app.cors_config else set()
    routes = {
        (method, each.path): _fast_route(handler, each.path_format, always)
        for each in app.routes
        for method, (handler, _) in getattr(each, "route_handler_map", {}).items()
        if _is_plain(app, handler) and not each.path_parameters
    }

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        path, raw_path = scope["path"], scope.get("raw_path", b"")
        aliased = len(raw_path) > len(path) and b"%2f" in raw_path.lower()
        route = None if aliased else routes.get((scope["method"], path))  # type: ignore[typeddict-item]  # only HTTP comes here
        if route is None or scope["query_string"] or not route.headers.isdisjoint(scope["header_map"]):  # type: ignore[typeddict-item]  # set by middleware.py
            if aliased or "//" in path or (path.endswith("/") and path != "/"):
                await exception_handler(ServiceRequest(scope), NotFound())(scope, receive, send)
            else:
                if len(scope["header_map"]) < len(scope["headers"]):  # type: ignore[typeddict-item, arg-type]  # a list
                    scope["headers"] = joined_lists(scope["headers"])
                await router(scope, receive, send)
            return
        scope["route_handler"] = route.handler
        scope["path_template"] = route.template
        scope["path_params"] = {}
        request = ServiceRequest(scope, receive, send)
        try:
            if route.before and (instead := await route.before(request)):
                response = await route.handler.to_response(app=app, data=instead, request=request)
            elif route.takes_data:
                response = await route.call(request=request, data=await request.json())
            else:
                response = await route.call(request=request)
        except Exception as error:  # noqa: BLE001 - whatever it is, it has a response
            response = exception_handler(request, error)
        await response(scope, receive, send)

    return dispatch


def _fast_route(handler: HTTPRouteHandler, template: str, always: set[bytes]) -> FastRoute:
    parameters = handler.parsed_fn_signature.parameters
    headers = {
        (field.kwarg_definition.name or name).lower().encode()
        for name, field in parameters.items()
        if isinstance(field.kwarg_definition, HeaderParameter)
    }
    return FastRoute(
        handler,
        handler.fn,
        handler.resolve_before_request(),
        "data" in parameters,
        frozenset(headers | always),
        template,
    )


def _is_plain(app: Litestar, handler: HTTPRouteHandler) -> bool:
    """Return whether Litestar would do nothing around the call of `handler` that is not done here, too."""
    signature = handler.parsed_fn_signature
    data = signature.parameters.get("data")
    return (
        "request" in signature.parameters
        and all(name in GIVEN or _is_left(field) for name, field in signature.parameters.items())
        and (data is None or is_json(data))
        and get_origin(signature.return_type.raw) is JSONResponse
        and handler.resolve_request_class() is ServiceRequest
        and handler.resolve_exception_handlers() == {Exception: exception_handler}
        and not any(_settings_of_application(app))
        and not any(_settings_of_handler(handler))
    )


def _settings_of_application(app: Litestar) -> tuple[object, ...]:
    """Return what Litestar does for every request of `app`."""
    return app.after_exception, app.csrf_config, app.compression_config, app.allowed_hosts


def _settings_of_handler(handler: HTTPRouteHandler) -> tuple[object, ...]:
    """Return what Litestar does for each request of `handler`, as it or a layer above it says."""
    layers = handler.ownership_layers
    return (
        *(handler.resolve_guards(), handler.resolve_middleware(), handler.resolve_after_response()),
        *(handler.cache, handler.background, handler.has_sync_callable),
        *(handler.resolve_data_dto(), handler.resolve_return_dto(), handler.resolve_response_cookies()),
        any(not header.documentation_only for header in handler.resolve_response_headers()),
        *(getattr(layer, "after_request", None) for layer in layers),
        *(getattr(layer, "type_decoders", None) for layer in layers),
        *(getattr(layer, "parameters", None) for layer in layers),
    )


def _is_left(field: FieldDefinition) -> bool:
    return isinstance(field.kwarg_definition, LEFT) and field.has_default
