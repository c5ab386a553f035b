"""What Litestar's routes lack: HEAD, OPTIONS without a token, one spelling of each path."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

import click
import msgspec
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.enums import RequestEncodingType
from litestar.handlers import HTTPRouteHandler
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.typing import FieldDefinition
from typing_extensions import override

from service.http.body import decoder, is_infinite

D = TypeVar("D", bound=date)


def integer(text: str) -> int:
    """Read an id as responses write it; int() also accepts 1_0, +10, blanks and the digits of other scripts.

    Raises ValueError.
    """
    number = int(text)
    if str(number) != text:
        raise ValueError(text)
    return number


def uuid(text: str) -> UUID:
    """Read a UUID with its hyphens (RFC 9562, 4); UUID() also accepts braces and a URN.

    Raises ValueError.
    """
    found = UUID(text)
    if str(found) != text.lower():
        raise ValueError(text)
    return found


def finite(kind: type[D]) -> Callable[[str], D]:
    """Return a reader of dates, or of times, that PostgreSQL does not take for infinity; it raises ValueError."""

    def read(text: str) -> D:
        value = msgspec.convert(text, kind)
        if is_infinite(value):
            raise ValueError(text)
        return value

    return read


STRICT: dict[Any, Callable[[str], Any]] = {int: integer, UUID: uuid, date: finite(date), datetime: finite(datetime)}


class ConfigurationError(click.ClickException):
    """A handler could not work as it is declared; one sentence says which and why."""


class CompleteRoutes(ReceiveRoutePlugin):
    """Completes each route as Litestar registers it, so that a request pays nothing for it.

    HEAD is GET without the body (RFC 9110, 9.3.2), which the server leaves out. OPTIONS names all methods of a path
    (9.3.7) and needs no token. An id in another spelling is 404.
    """

    def __init__(self) -> None:
        self._operations: dict[str, HTTPRouteHandler] = {}

    @override
    def receive_route(self, route: BaseRoute) -> None:
        """Complete `route`.

        Raises ConfigurationError for a handler that could not work.
        """
        for name, parameter in route.path_parameters.items():
            route.path_parameters[name] = parameter._replace(parser=STRICT.get(parameter.type, parameter.parser))
        if not isinstance(route, HTTPRoute):
            return
        handlers = route.route_handler_map
        app = next(iter(handlers.values()))[0].app
        for handler, _ in handlers.values():
            self._check(app, handler)
        if "GET" in handlers and "HEAD" not in handlers:
            handlers["HEAD"] = handlers["GET"]
            route.methods.add("HEAD")
        if handlers["OPTIONS"][0].fn.__module__ == HTTPRoute.__module__:  # Litestar's, which asks as its neighbours do
            options = route.create_options_handler(route.path)
            options.owner = app
            options.on_registration(app)
            handlers["OPTIONS"] = options, options.create_kwargs_model(route.path_parameters)

    def _check(self, app: Litestar, handler: HTTPRouteHandler) -> None:
        field = handler.parsed_data_field
        if field is not None and is_json(field):
            try:
                decoder(field.annotation)
            except TypeError as error:
                reason = str(error).partition("\n")[0]
                raise ConfigurationError(f"{handler}: its body cannot be read as JSON: {reason}") from None
        if handler.resolve_security() and handler.resolve_before_request() is not app.before_request:
            raise ConfigurationError(f"{handler}: its before_request replaces the one that checks the access token")
        if handler.resolve_include_in_schema():
            other = self._operations.setdefault(handler.handler_name, handler)
            if other is not handler:
                raise ConfigurationError(f"{handler} and {other} are one operation in the OpenAPI document: rename one")


def is_json(data: FieldDefinition) -> bool:
    """Return whether the body must be there, and be JSON."""
    kind = getattr(data.kwarg_definition, "media_type", RequestEncodingType.JSON)
    return kind == RequestEncodingType.JSON and not (data.is_optional or data.has_default)


def plain_preflight_refusals(app: ASGIApp, cors: CORSConfig) -> ASGIApp:
    """Wrap `app`: the preflight of an origin that may not call is answered like any OPTIONS, without CORS fields.

    The browser takes that for a refusal (https://fetch.spec.whatwg.org/#cors-preflight-fetch, 7). Litestar answers 400
    in plain text.
    """

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]  # a websocket has none, and there are none
            origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
            if not all(map(cors.is_origin_allowed, origins)):
                scope["headers"] = [field for field in scope["headers"] if field[0] != b"origin"]
        await app(scope, receive, send)

    return dispatch
