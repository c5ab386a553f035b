"""The short way of a request to its handler: for what needs nothing of Litestar but to be found.

For each request, Litestar looks again for parameters, dependencies, middleware, hooks and handlers of exceptions, and
wraps what it calls for them. A handler whose path has no variables, that asks for the request and its body alone, and
whose other parameters the request does not give, is called at once instead, for a fifth less of a whole request.
Everything else goes Litestar's way, which comes to the same answer: `tests/http/test_fast_path.py` compares the two.
"""

from collections.abc import Callable
from typing import Any, get_origin

import attrs
from litestar import Litestar
from litestar.enums import RequestEncodingType
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.typing import FieldDefinition

from service.http.errors import JSONResponse, exception_handler
from service.http.request import ServiceRequest, headers

# What a handler may ask for, and what it may leave to the request.
GIVEN = {"request", "data"}
LEFT = (HeaderParameter, QueryParameter)


@attrs.frozen
class FastRoute:
    """What there is to know of a handler before a request comes; `headers` are those that it asks for."""

    handler: HTTPRouteHandler
    call: Callable[..., Any]
    before: Callable[..., Any] | None
    takes_data: bool
    headers: frozenset[bytes]
    template: str


def with_fast_path(app: Litestar, router: ASGIApp) -> ASGIApp:
    """Wrap `router`, the ASGI handler of `app`: requests that need nothing of it go to their handlers directly."""
    # Litestar answers a page of another origin with fields that let it read the answer.
    always = {b"origin"} if app.cors_config else set()
    routes = {
        (method, each.path): _fast_route(handler, each.path_format, always)
        for each in app.routes
        for method, (handler, _) in getattr(each, "route_handler_map", {}).items()
        if _is_plain(app, handler) and not each.path_parameters
    }

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        route = routes.get((scope["method"], scope["path"]))  # type: ignore[typeddict-item]  # HTTP's alone come here
        if route is None or scope["query_string"] or not route.headers.isdisjoint(headers(scope)):
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
        except Exception as error:  # noqa: BLE001 - whatever it is, it has an answer
            response = exception_handler(request, error).to_asgi_response(app=None, request=request)
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
    """Tell whether Litestar would do nothing around the call of `handler` that is not done here, too."""
    signature = handler.parsed_fn_signature
    parameters = signature.parameters.items()
    asks_for_more = any(name not in GIVEN and not _is_left(field) for name, field in parameters)
    data = signature.parameters.get("data")
    around = (
        *(handler.resolve_guards(), handler.resolve_middleware(), handler.resolve_after_response(), handler.cache),
        *(handler.has_sync_callable, handler.resolve_data_dto(), handler.resolve_return_dto(), app.after_exception),
        *(getattr(layer, "after_request", None) for layer in handler.ownership_layers),
    )
    return (
        "request" in signature.parameters
        and not asks_for_more
        and (data is None or _is_json(data))
        and get_origin(signature.return_type.raw) is JSONResponse
        and handler.resolve_request_class() is ServiceRequest
        and handler.resolve_exception_handlers() == app.exception_handlers
        and not any(around)
    )


def _is_left(field: FieldDefinition) -> bool:
    return isinstance(field.kwarg_definition, LEFT) and field.has_default


def _is_json(data: FieldDefinition) -> bool:
    """Tell whether the body must be there, and be JSON."""
    kind = getattr(data.kwarg_definition, "media_type", RequestEncodingType.JSON)
    return kind == RequestEncodingType.JSON and not (data.is_optional or data.has_default)
