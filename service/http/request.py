"""The application, and the request that handlers receive: its caller, the database, and a strictly read body."""

from collections.abc import Callable
from functools import cache
from math import inf
from traceback import walk_tb
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from litestar import Litestar, Request
from litestar.connection.base import empty_receive, empty_send
from litestar.constants import RESERVED_KWARGS
from litestar.datastructures import State
from litestar.exceptions import ImproperlyConfiguredException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.types import ControllerRouterHandler, Empty, EmptyType, Receive, Scope, Send
from typing_extensions import override

from service.http.body import FORM, JSON, check_media_type, read_form_body, read_json
from service.http.cors import CORS
from service.postgres import Database
from service.problems import NO_BODY, ContentTooLarge, InvalidInput, MalformedRequest, NotAuthenticated, OperatorError

T = TypeVar("T")


class Caller(NamedTuple):
    """The login session that the access token identifies, and its user.

    These are the first two parameters of every authenticated query: ``db.one(SHOW_ME, *request.auth)``.
    """

    session: UUID
    user: UUID


class ConfigurationError(OperatorError):
    """The declaration of a handler is wrong; the message names the handler and the reason."""


class Application(Litestar):
    """A Litestar application with a database; set `db` and `authenticate` before the first request.

    `authenticate` returns the caller that an ``Authorization`` header identifies, or raises NotAuthenticated or
    InvalidToken. `cors` is also for what the server itself rejects (server/connection.py), which knows the settings
    only through such attributes. `is_draining` becomes true when the process starts to shut down.
    """

    db: Database
    authenticate: Callable[[bytes], Caller]
    cors: CORS | None = None
    is_draining = False

    @override
    def register(self, value: ControllerRouterHandler) -> None:  # type: ignore[override]  # Litestar itself returns None
        """Add a controller or a handler.

        Raises ConfigurationError if Litestar refuses it, or an annotation is wrong or names nothing.
        """
        for handler in (value, *getattr(value, "__dict__", {}).values()):
            if isinstance(handler, BaseRouteHandler):
                _check_argument_names(handler)
        try:
            super().register(value)
        except (ImproperlyConfiguredException, NameError, TypeError) as error:
            frames = [frame.f_locals.get("self") for frame, _ in walk_tb(error.__traceback__)]
            culprit = next((each for each in frames if isinstance(each, BaseRouteHandler)), value)
            name = f"{culprit.__module__}.{culprit.__qualname__}" if isinstance(culprit, type) else str(culprit)
            reason = " ".join(getattr(error, "detail", str(error)).split())
            raise ConfigurationError(reason if name in reason else f"{name}: {reason}") from None

    @override
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle a request or the lifespan (ASGI). Litestar always wraps `send`; here, only if hooks need it."""
        if scope["type"] == "lifespan" or self.before_send:
            await super().__call__(scope, receive, send)
            return
        scope["litestar_app"] = scope["app"] = self
        await self.asgi_handler(scope, receive, send)


def _check_argument_names(handler: BaseRouteHandler) -> None:
    """Raise ConfigurationError if a parameter has a name that Litestar reserves, such as ``query``."""
    # A handler can also be a callable object, whose annotations Litestar finds elsewhere.
    for name, annotation in getattr(handler.fn, "__annotations__", {}).items():
        for rule in getattr(annotation, "__metadata__", ()):
            if name in RESERVED_KWARGS and isinstance(rule, ParameterKwarg):
                where, remedy = handler.fn.__qualname__, f'{type(rule).__name__}(name="{name}")'
                raise ConfigurationError(f"{where}: Litestar reserves the argument {name}: rename it, with {remedy}")


class ServiceRequest(Request[None, Caller, State]):
    """A request. ``auth`` is the caller, authenticated on first use; the JSON body becomes the handler's ``data``.

    The database is an attribute, not a dependency, because two or more dependencies cost a task each.
    Attributes that few handlers use (cookies, state, forms) are initialized on first use.
    """

    # `header_map` maps lower-case names to values; of a repeated header, it has the last. Litestar declares `app`,
    # `auth` and `route_handler` as properties or with other types.
    __slots__ = ("_body", "_is_initialized", "app", "auth", "db", "header_map", "route_handler")

    app: Application
    auth: Caller
    db: Database
    header_map: dict[bytes, bytes]
    route_handler: HTTPRouteHandler

    def __init__(self, scope: Scope, receive: Receive = empty_receive, send: Send = empty_send) -> None:
        self.scope, self.receive, self.send = scope, receive, send  # type: ignore[assignment]  # only HTTP connections reach this class
        self.app = scope["litestar_app"]  # type: ignore[assignment]  # always an Application
        self.db = self.app.db
        self.route_handler = scope.get("route_handler")  # type: ignore[assignment]  # None if no route matched
        self.header_map = scope["header_map"]  # type: ignore[typeddict-item]  # set by middleware.py
        self._body: bytes | EmptyType = Empty
        self._is_initialized = False

    if not TYPE_CHECKING:  # pragma: no branch - with __getattr__, mypy would accept any attribute

        def __getattr__(self, name: str) -> object:
            """Initialize Litestar's attributes; Python calls this for an attribute that is not set yet."""
            if name == "auth":
                if not self.route_handler.resolve_security():
                    raise AttributeError(
                        f"{self.route_handler} uses request.auth, but is public: give it security=BEARER"
                    )
                self.auth = self.app.authenticate(_authorization(self))
                return self.auth
            if not self._is_initialized:
                self._is_initialized, body = True, self._body
                super().__init__(self.scope, self.receive, self.send)
                self._body = body
            return self.__getattribute__(name)

    @override
    async def body(self) -> bytes:
        """Return the body.

        Raises ContentTooLarge, or MalformedRequest if the client disconnects before the end of the body.
        """
        if self._body is not Empty:
            return self._body
        body, limit = bytearray(), self.route_handler.resolve_request_max_body_size() or inf
        length = self.header_map.get(b"content-length", b"").lstrip(b"0")  # int() refuses thousands of zeros
        if int(length or 0) > limit:  # reject it before it arrives
            raise ContentTooLarge
        while True:
            event: Any = await self.receive()
            if event["type"] == "http.disconnect":
                raise MalformedRequest("The request body is incomplete")
            body += event["body"]
            if len(body) > limit:
                raise ContentTooLarge
            if not event.get("more_body"):
                self._body = bytes(body)
                return self._body

    @override
    async def json(self) -> Any:
        """Return the body as an instance of the class that annotates the handler's ``data``; without it, any JSON.

        Raises UnsupportedMediaType, MalformedRequest or InvalidInput.
        """
        body = await self.body()
        if not body:
            raise MalformedRequest(NO_BODY)
        check_media_type(JSON, self.scope["method"], self.header_map)
        data = read_json(body, body_model(self.route_handler))
        if data is None:  # the document does not allow it (openapi.py): in handlers, None stands for an omitted body
            raise InvalidInput.at("", "is null; omit it instead")
        self.scope["data"] = data  # type: ignore[typeddict-unknown-key]  # errors.py reads it
        return data


def _authorization(request: ServiceRequest) -> bytes:
    """Return the value of the ``Authorization`` header. Raises NotAuthenticated unless it is sent exactly once."""
    by_name, sent = request.header_map, request.scope["headers"]
    # The dictionary is shorter than the list only if some header is repeated.
    is_repeated = len(by_name) < len(sent) and sum(name == b"authorization" for name, _ in sent) > 1  # type: ignore[arg-type]  # a list
    if is_repeated or b"authorization" not in by_name:
        raise NotAuthenticated
    return by_name[b"authorization"]


@cache
def body_model(handler: HTTPRouteHandler) -> Any:  # noqa: ANN401 - any type
    """Return the type of the handler's ``data``, with the rules of ``Annotated``, which Litestar strips from it."""
    field = handler.parsed_data_field
    if field is None:  # a handler that calls request.json()
        return Any
    rules = [meta for meta in field.metadata if isinstance(meta, msgspec.Meta)]
    return Annotated[(field.annotation, *rules)] if rules else field.annotation


async def read_form(request: ServiceRequest, model: type[T]) -> T:
    """Return the body, an HTML form, as an instance of `model`.

    Raises UnsupportedMediaType, InvalidInput; MalformedRequest if it is not a form or repeats a field (RFC 6749, 3.2).
    """
    check_media_type(FORM, request.scope["method"], request.header_map)
    form = read_form_body(await request.body(), model)
    request.scope["data"] = form  # type: ignore[typeddict-unknown-key]  # errors.py reads it
    return form
