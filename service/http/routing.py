"""Completes Litestar's routes: HEAD, OPTIONS without a token, strict path parameters, checks of the handlers."""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Litestar
from litestar.enums import ParamType, RequestEncodingType
from litestar.handlers import HTTPRouteHandler
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute, WebSocketRoute
from litestar.types import ASGIApp, Method, Receive, Scope, Send
from litestar.typing import FieldDefinition
from typing_extensions import override

from service.http.body import decoder, is_infinite
from service.http.errors import send_problem
from service.http.etags import join_headers
from service.http.parameters import declared_parameters
from service.http.request import ConfigurationError, body_model
from service.http.response import JSONResponse, type_without_json
from service.problems import NotFound, Problem

T = TypeVar("T", int, UUID)
# The types of ids in paths. Litestar converts none of them to another or to str: each request would then be 404.
IDS = {int, UUID}
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def parse_id(kind: type[T], text: str) -> T:
    """Parse an id in its canonical form; Python also accepts 1_0, +10, spaces, other digits, and UUIDs in braces.

    Raises ValueError.
    """
    value = kind(text)
    if str(value) != text.lower():
        raise ValueError(text)
    return value


def parse_number_or_time(kind: Any, text: str) -> object:  # noqa: ANN401 - any type
    """Parse a number, a date or a time; of numbers, Python also accepts NaN, exponents, 1_0 and other digits.

    Raises ValueError, also for a value that PostgreSQL would store as infinity.
    """
    is_number = kind in {Decimal, float}
    if is_number and not NUMBER.fullmatch(text):
        raise ValueError(text)
    value: Any = kind(text) if is_number else msgspec.convert(text, kind)
    if is_infinite(value):
        raise ValueError(text)
    return value


PATH_PARSERS: dict[Any, Callable[[str], Any]] = {kind: partial(parse_id, kind) for kind in IDS} | {
    kind: partial(parse_number_or_time, kind) for kind in (Decimal, float, date, datetime, timedelta)
}

# The rules of msgspec.Meta; its other attributes only document.
META_RULES = ("ge", "gt", "le", "lt", "multiple_of", "pattern", "min_length", "max_length", "tz")


class CompleteRoutes(ReceiveRoutePlugin):
    """Completes each route when Litestar registers it, at no cost per request.

    HEAD runs the handler of GET (RFC 9110, 9.3.2); the server omits the body. OPTIONS lists the methods of a path
    (9.3.7) and needs no token. A path parameter that is not in canonical form is 404. A handler with ``security=[]`` is
    public, even in a controller that requires a token.
    """

    def __init__(self) -> None:
        # The method and the path of each operation in the OpenAPI document.
        self._operations: dict[str, str] = {}

    @override
    def receive_route(self, route: BaseRoute) -> None:
        """Complete `route`.

        Raises ConfigurationError if one of its handlers cannot work.
        """
        if isinstance(route, WebSocketRoute):
            raise ConfigurationError(f"{route.route_handler}: the server refuses WebSockets: stream events instead")
        for name, parameter in route.path_parameters.items():
            route.path_parameters[name] = parameter._replace(parser=PATH_PARSERS.get(parameter.type, parameter.parser))
        if not isinstance(route, HTTPRoute):
            return
        handlers = route.route_handler_map
        app = next(iter(handlers.values()))[0].app
        for method, (handler, _) in handlers.items():
            if handler.security is not None and not handler.security:
                handler.resolve_security().clear()  # Litestar adds that of the controller: security=[] would do nothing
            self._check_operation(route, method, handler)
            _check_json(handler)
            _check_token(app, handler)
            _check_path(route, handler)
            _check_parameters(handler)
            _check_problems(handler)
        if "GET" in handlers and "HEAD" not in handlers:
            handlers["HEAD"] = handlers["GET"]
            route.methods.add("HEAD")
        # Litestar's own handler would need a token, like the other methods of the path. It is also removed from the
        # list of handlers: another controller with this path has one, too, and Litestar refuses two.
        litestars = handlers["OPTIONS"][0]
        if litestars.fn.__module__ == HTTPRoute.__module__:
            route.route_handlers = [handler for handler in route.route_handlers if handler is not litestars]
            options = route.create_options_handler(route.path)
            options.owner = app
            options.on_registration(app)
            handlers["OPTIONS"] = options, options.create_kwargs_model(route.path_parameters)

    def _check_operation(self, route: HTTPRoute, method: Method, handler: HTTPRouteHandler) -> None:
        if not handler.resolve_include_in_schema():
            return
        handler.operation_id = partial(_operation_id, handler.operation_id or handler.handler_name)
        place = f"{method} {route.path}"
        other = self._operations.setdefault(handler.operation_id(handler, method, route.path_components), place)
        if other != place:
            first, second = sorted([other, place])
            raise ConfigurationError(
                f"{handler}: {first} and {second} are one operation in the OpenAPI document: "
                "each needs a function with its own name, or its own operation_id"
            )


def _operation_id(own: str | Callable[..., str], handler: HTTPRouteHandler, method: Method, path: object) -> str:
    name = own(handler, method, path) if callable(own) else own
    # HEAD has the handler of GET, until openapi_document removes it.
    return f"{method}_{name}" if method == "HEAD" else name


def _check_json(handler: HTTPRouteHandler) -> None:
    """Raise ConfigurationError if the body or the response of `handler` has a type that JSON cannot represent."""
    field = handler.parsed_data_field
    if field is not None and is_json(field):
        try:
            decoder(body_model(handler))
        except TypeError as error:
            reason = str(error).partition("\n")[0]
            raise ConfigurationError(f"{handler}: its body cannot be read as JSON: {reason}") from None
    returned = handler.parsed_return_field
    for content in returned.inner_types if returned.is_subclass_of(JSONResponse) else ():
        if unknown := type_without_json(content.annotation):
            place = f"{unknown.__module__}.{unknown.__qualname__}"
            raise ConfigurationError(f"{handler}: its response cannot be written as JSON: it contains {place}")


def _check_token(app: Litestar, handler: HTTPRouteHandler) -> None:
    """Raise ConfigurationError if `handler` needs an access token, and would respond without checking it."""
    if handler.resolve_security() and handler.resolve_before_request() is not app.before_request:
        raise ConfigurationError(f"{handler}: its before_request replaces the one that checks the access token")
    if handler.resolve_security() and handler.cache:
        raise ConfigurationError(f"{handler}: its cache would respond before the access token is checked")


def _check_path(route: HTTPRoute, handler: HTTPRouteHandler) -> None:
    """Raise ConfigurationError if the path of `route` lacks a parameter of `handler`, or gives it another type."""
    for name, field in declared_parameters(handler, ParamType.PATH).items():
        if given := route.path_parameters.get(name):
            if given.type in IDS and field.annotation in {*IDS, str} and field.annotation is not given.type:
                raise ConfigurationError(
                    f"{handler}: its path {route.path} gives {name} as {given.full.partition(':')[2]}, "
                    f"the function expects {field.annotation.__name__}"
                )
        elif field.is_required:
            present = ", ".join(route.path_parameters) or "none"
            raise ConfigurationError(
                f"{handler}: its path {route.path} lacks the parameter {name}; the path's parameters: {present}"
            )


def _check_parameters(handler: HTTPRouteHandler) -> None:
    """Raise ConfigurationError if a parameter has rules that Litestar ignores, or that do not fit its type."""
    for name, field in chain.from_iterable(declared_parameters(handler, kind).items() for kind in ParamType):
        parts = [field, *(field.inner_types if field.is_union else ())]
        metas = [meta for part in parts for meta in part.metadata if isinstance(meta, msgspec.Meta)]
        if any(getattr(meta, rule) is not None for meta in metas for rule in META_RULES):
            raise ConfigurationError(
                f"{handler}: Litestar ignores the rules in msgspec.Meta of the parameter {name}: "
                f"write them in {type(field.kwarg_definition).__name__}(…)"
            )
    dependencies = handler.resolve_dependencies().values()
    for model in (handler.signature_model, *(each.signature_model for each in dependencies)):
        try:
            msgspec.convert({}, model)
        except msgspec.ValidationError:
            pass  # parameters are missing
        except TypeError as error:
            reason = str(error).partition(" - type")[0]
            raise ConfigurationError(f"{handler}: its parameters cannot be read: {reason}") from None


def _check_problems(handler: HTTPRouteHandler) -> None:
    """Raise ConfigurationError if ``problems=`` is not a list of complete Problem classes."""
    declared = handler.opt.get("problems", ())
    if not (isinstance(declared, list | tuple) and all(isinstance(each, type) for each in declared)):
        raise ConfigurationError(f"{handler}: problems= must be a list of classes, such as [Forbidden]")
    for kind in declared:
        missing = [name for name in ("status", "type", "title") if not hasattr(kind, name)]
        if missing or not issubclass(kind, Problem):
            lacks = f"has no {missing[0]}" if missing else "is not a Problem"
            raise ConfigurationError(f"{handler}: {kind.__qualname__} in problems= {lacks}")


def is_json(data: FieldDefinition) -> bool:
    """Return whether the body is required and must be JSON."""
    kind = getattr(data.kwarg_definition, "media_type", RequestEncodingType.JSON)
    return kind == RequestEncodingType.JSON and not (data.is_optional or data.has_default)


def strict_paths_middleware(router: ASGIApp) -> ASGIApp:
    """Wrap `router`, Litestar's ASGI handler: a non-canonical path (``/pets/1/``, ``//pets/1``, ``/pets%2F1``) is 404.

    Litestar would serve it. Also joins the lines of repeated headers, of which Litestar reads only the first.
    """

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        path, raw_path = scope["path"], scope.get("raw_path", b"")
        is_encoded = len(raw_path) > len(path) and b"%2f" in raw_path.lower()
        if is_encoded or "//" in path or (path.endswith("/") and path != "/"):
            await send_problem(NotFound(), scope, receive, send)
            return
        if len(scope["header_map"]) < len(scope["headers"]):  # type: ignore[typeddict-item, arg-type]  # a list
            scope["headers"] = join_headers(scope["headers"])
        await router(scope, receive, send)

    return dispatch
