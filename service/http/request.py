"""A request, as handlers see it: who calls, the database, and a body that is read strictly."""

import re
from functools import cache
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import attrs
import msgspec
from litestar import Request
from litestar.connection.base import empty_receive, empty_send
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.types import Empty, EmptyType, Receive, Scope, Send
from typing_extensions import override

from service.postgres import Database
from service.problems import NO_BODY, ContentTooLarge, InvalidInput, MalformedRequest, UnsupportedMediaType
from service.telemetry import Counter, Metrics

T = TypeVar("T")

JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"
# How msgspec words its findings.
AT = re.compile(r"(?P<detail>.*) - at `(key in )?\$(?P<path>.*)`", re.DOTALL)
STEP = re.compile(r"\.|\[(.+?)\]")
FIELD = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)


@attrs.frozen
class Caller:
    """Who is calling: the login session that the access token names, and its user."""

    session: UUID
    user: UUID


class ServiceRequest(Request[None, Caller, State]):
    """A request. Its ``auth`` is the caller; its JSON becomes the handler's ``data`` at once, unknown fields refused.

    What each handler needs hangs on the request, because Litestar's dependencies cost 30 µs a request and more: it
    resolves two of them in tasks of their own. What Litestar prepares for each request (cookies, state, forms) takes
    2 µs, and few ask for it: it is made when somebody does.
    """

    def __init__(self, scope: Scope, receive: Receive = empty_receive, send: Send = empty_send) -> None:
        self.scope, self.receive, self.send = scope, receive, send  # type: ignore[assignment]  # HTTP's alone come here
        self._body: bytes | EmptyType = Empty
        self._is_prepared = False

    if not TYPE_CHECKING:  # pragma: no branch - for mypy, which would take any name for one that is there

        def __getattr__(self, name: str) -> object:
            """Return what Litestar prepares; Python calls this for an attribute that is not there yet."""
            if not self._is_prepared:
                self._is_prepared, body = True, self._body
                super().__init__(self.scope, self.receive, self.send)
                self._body = body
            return self.__getattribute__(name)

    @property
    def db(self) -> Database:
        """The database."""
        db: Database = self.scope["litestar_app"].db  # type: ignore[attr-defined]  # of Service, in app.py
        return db

    @property
    def metrics(self) -> Metrics | None:
        """The metrics, where somebody asks for them."""
        metrics: Metrics | None = self.scope["litestar_app"].metrics  # type: ignore[attr-defined]  # as above
        return metrics

    def count(self, event: Counter) -> None:
        """Count `event`, where there are metrics."""
        if metrics := self.metrics:
            metrics.count(event)

    @override
    async def body(self) -> bytes:
        """Return the body. Litestar's way to it takes 15 µs more.

        Raises ContentTooLarge, or MalformedRequest where the client goes away before its end.
        """
        if self._body is not Empty:
            return self._body
        body, most = bytearray(), self.route_handler.resolve_request_max_body_size() or inf
        if int(headers(self.scope).get(b"content-length", b"0")) > most:  # there is no need to wait for it
            raise ContentTooLarge
        while True:
            event: Any = await self.receive()
            if event["type"] == "http.disconnect":
                raise MalformedRequest("The body was cut off")
            body += event["body"]
            if len(body) > most:
                raise ContentTooLarge
            if not event.get("more_body"):
                self._body = bytes(body)
                return self._body

    @override
    async def json(self) -> Any:
        """Return the body as the class that the handler's ``data`` is annotated with.

        Raises UnsupportedMediaType, MalformedRequest or InvalidInput.
        """
        body = await self.body()
        if not body:
            raise MalformedRequest(NO_BODY)
        check_body_is(JSON, self)
        try:
            return decoder(self.route_handler.parsed_data_field.annotation).decode(body)  # type: ignore[union-attr]  # there is one
        except msgspec.ValidationError as error:
            raise broken_rule(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MalformedRequest(f"The body is not JSON: {error}") from None
        except RecursionError:
            raise MalformedRequest("The body is not JSON: it is nested too deeply") from None


async def read_form(request: ServiceRequest, model: type[T]) -> T:
    """Return the body, an HTML form, as a `model`.

    Raises UnsupportedMediaType, MalformedRequest (a field that comes twice included: RFC 6749, 3.2) or InvalidInput.
    """
    check_body_is(FORM, request)
    body = await request.body()
    try:
        fields = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=20
        )
    except ValueError as error:
        raise MalformedRequest(f"The body is not a form: {error}") from None
    form = dict(fields)
    if len(form) < len(fields):
        raise MalformedRequest("The body is not a form: a field comes twice")
    try:
        return msgspec.convert(form, model)
    except msgspec.ValidationError as error:
        raise broken_rule(error) from None


def headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the request's headers by their lower-case names; of a header sent twice, the last.

    The middleware builds this dictionary once, because a request looks up six headers.
    """
    found: dict[bytes, bytes] = scope["header_map"]  # type: ignore[typeddict-item]  # set by middleware.py
    return found


def check_body_is(media_type: bytes, request: ServiceRequest) -> None:
    """Check that the body is declared to be of `media_type`, uncompressed.

    Raises UnsupportedMediaType; InvalidInput where the query has a parameter that the handler has not.
    """
    if request.scope["query_string"]:
        check_query(request)
    head = headers(request.scope)
    kind = head.get(b"content-type", b"")
    if kind != media_type and kind.partition(b";")[0].strip().lower() != media_type:
        name = media_type.decode()
        raise UnsupportedMediaType(f"Send the body as {name}", headers={"Accept-Post": name})
    if head.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedMediaType("Send the body uncompressed", headers={"Accept-Encoding": "identity"})


@cache
def decoder(model: type[T]) -> msgspec.json.Decoder[T]:
    """Return what reads a `model`; to make it costs more than to use it."""
    return msgspec.json.Decoder(model)


def check_query(request: Request[Any, Any, Any]) -> None:
    """Refuse query parameters that the handler does not know, and one that comes twice.

    Raises InvalidInput.
    """
    known = _query_parameters(request.route_handler)
    seen = set()
    for name, _ in parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if name not in known:
            raise InvalidInput.at(f"/{_step(name)}", "is not a parameter here")
        if name in seen:
            raise InvalidInput.at(f"/{name}", "comes twice")
        seen.add(name)


def _query_parameters(handler: HTTPRouteHandler) -> frozenset[str]:
    fields = handler.parsed_fn_signature.parameters.items()
    kinds = {name: field.kwarg_definition for name, field in fields}
    return frozenset(kind.name or name for name, kind in kinds.items() if isinstance(kind, QueryParameter))


def broken_rule(error: msgspec.ValidationError) -> InvalidInput:
    """Return msgspec's finding as a problem that points at the field (RFC 6901)."""
    detail, pointer = str(error), ""
    if found := AT.fullmatch(detail):
        detail, pointer = found["detail"], STEP.sub(r"/\1", found["path"])
    if field := FIELD.fullmatch(detail):
        pointer += "/" + _step(field["name"])
        detail = "is missing" if field["what"] == "missing required" else "is not a field here"
    return InvalidInput.at(pointer, detail.replace("`", ""))


def _step(name: str) -> str:
    """Return `name` as a step of a JSON pointer (RFC 6901, 3)."""
    return name.replace("~", "~0").replace("/", "~1")
