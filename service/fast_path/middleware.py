"""The fast path: calls the handler of a simple request directly, without Litestar's router.

For each request, Litestar resolves parameters, dependencies, middleware, hooks and exception handlers again. The fast
path skips this if the path of the handler has no variables, the handler takes only the request and its body, and the
request sends none of the handler's optional parameters. All other requests go through Litestar, whose response is the
same: `tests/fast_path` compares the two.
"""

from collections.abc import Callable
from typing import Any, get_origin

import attrs
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.typing import FieldDefinition

from service.http import JSONResponse, ServiceRequest, exception_handler, is_json

# Arguments that the fast path passes to a handler, and kinds of parameters that a request can omit.
PASSED_ARGUMENTS = {"request", "data"}
OMITTABLE_PARAMETERS = (HeaderParameter, QueryParameter)


@attrs.frozen
class FastRoute:
    """A handler on the fast path. A request with one of its `headers` (lower-case) goes through Litestar."""

    handler: HTTPRouteHandler
    call: Callable[..., Any]
    before_request: Callable[..., Any] | None
    takes_data: bool
    headers: frozenset[bytes]
    path_template: str


def fast_path_middleware(app: Litestar, router: ASGIApp) -> ASGIApp:
    """Wrap `router`, the ASGI handler of `app`: simple requests go to their handlers directly."""
    routes = {
        (method, route.path): _fast_route(handler, route.path_format)
        for route in app.routes
        for method, (handler, _) in getattr(route, "route_handler_map", {}).items()
        if _is_simple(app, handler) and not route.path_parameters
    }

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        route = routes.get((scope["method"], path))  # type: ignore[typeddict-item]  # only HTTP requests reach it
        if (
            route is None
            or scope["query_string"]
            or not route.headers.isdisjoint(scope["header_map"])  # type: ignore[typeddict-item]  # set by http's middleware
            or len(scope.get("raw_path", b"")) > len(path)  # percent-encoded
        ):
            await router(scope, receive, send)
            return
        scope["route_handler"] = route.handler
        scope["path_template"] = route.path_template
        scope["path_params"] = {}
        request = ServiceRequest(scope, receive, send)
        response: Any  # a handler can return a value of another type than it declares
        try:
            if route.before_request and (early := await route.before_request(request)):
                response = await route.handler.to_response(app=app, data=early, request=request)
            elif route.takes_data:
                response = await route.call(request=request, data=await request.json())
            else:
                response = await route.call(request=request)
        except Exception as error:  # noqa: BLE001 - every exception has a response
            response = exception_handler(request, error)
        try:
            await response(scope, receive, send)
        except TypeError:
            if callable(response):
                raise
            response = await _litestars_response(app, request, response)
            await response(scope, receive, send)

    return dispatch


async def _litestars_response(app: Litestar, request: ServiceRequest, data: object) -> ASGIApp:
    """Return Litestar's response for `data`, which a handler returned instead of the annotated JSONResponse."""
    try:
        return await request.route_handler.to_response(app=app, data=data, request=request)
    except Exception as error:  # noqa: BLE001 - every exception has a response
        return exception_handler(request, error)


def _fast_route(handler: HTTPRouteHandler, path_template: str) -> FastRoute:
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
        frozenset(headers),
        path_template,
    )


def _is_simple(app: Litestar, handler: HTTPRouteHandler) -> bool:
    """Return whether a call of `handler` by Litestar does nothing that the fast path omits."""
    signature = handler.parsed_fn_signature
    data = signature.parameters.get("data")
    return (
        "request" in signature.parameters
        and all(name in PASSED_ARGUMENTS or _can_be_omitted(field) for name, field in signature.parameters.items())
        and (data is None or is_json(data))
        and get_origin(signature.return_type.raw) is JSONResponse
        and handler.resolve_request_class() is ServiceRequest
        and handler.resolve_exception_handlers() == {Exception: exception_handler}
        and not any(_application_hooks(app))
        and not any(_handler_hooks(handler))
    )


def _application_hooks(app: Litestar) -> tuple[object, ...]:
    """Return the settings that make Litestar do more for every request of `app`."""
    return app.after_exception, app.cors_config, app.csrf_config, app.compression_config, app.allowed_hosts


def _handler_hooks(handler: HTTPRouteHandler) -> tuple[object, ...]:
    """Return the settings of `handler` and the layers above it that make Litestar do more for each request."""
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


def _can_be_omitted(field: FieldDefinition) -> bool:
    return isinstance(field.kwarg_definition, OMITTABLE_PARAMETERS) and field.has_default
