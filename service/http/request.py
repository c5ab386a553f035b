"""A request, as handlers see it: who calls, the database, and a body that is read strictly."""

from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from litestar import Request
from litestar.connection.base import empty_receive, empty_send
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.types import Empty, EmptyType, Receive, Scope, Send
from typing_extensions import override

from service.http.application import Application, Caller
from service.http.body import FORM, JSON, check_media_type, read_form_body, read_json
from service.postgres import Database
from service.problems import NO_BODY, ContentTooLarge, MalformedRequest

T = TypeVar("T")


class ServiceRequest(Request[None, Caller, State]):
    """A request. Its ``auth`` is the caller; its JSON becomes the handler's ``data``, unknown fields refused.

    What each handler needs hangs on the request, because Litestar resolves two dependencies in tasks of their own. What
    Litestar prepares for each request (cookies, state, forms) few ask for: it is prepared when it is first used.
    """

    # The last five are properties of Litestar's, or of its types. `raw_headers` has the headers by lower-case names; of
    # a header sent twice, the last.
    __slots__ = ("_body", "_is_prepared", "app", "auth", "db", "raw_headers", "route_handler")

    app: Application
    auth: Caller
    db: Database
    raw_headers: dict[bytes, bytes]
    route_handler: HTTPRouteHandler

    def __init__(self, scope: Scope, receive: Receive = empty_receive, send: Send = empty_send) -> None:
        self.scope, self.receive, self.send = scope, receive, send  # type: ignore[assignment]  # HTTP's alone come here
        self.app = scope["litestar_app"]  # type: ignore[assignment]  # which other applications are not
        self.db = self.app.db
        self.route_handler = scope.get("route_handler")  # type: ignore[assignment]  # none if no route was found
        self.raw_headers = scope["header_map"]  # type: ignore[typeddict-item]  # set by middleware.py
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

    @override
    async def body(self) -> bytes:
        """Return the body.

        Raises ContentTooLarge, or MalformedRequest if the client disconnects before its end.
        """
        if self._body is not Empty:
            return self._body
        body, most = bytearray(), self.route_handler.resolve_request_max_body_size() or inf
        if int(self.raw_headers.get(b"content-length", b"0")) > most:  # there is no need to wait for it
            raise ContentTooLarge
        while True:
            event: Any = await self.receive()
            if event["type"] == "http.disconnect":
                raise MalformedRequest("The request body is incomplete")
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
        check_media_type(JSON, self.raw_headers)
        data = read_json(body, self.route_handler.parsed_data_field.annotation)  # type: ignore[union-attr]  # there is one
        self.scope["data"] = data  # type: ignore[typeddict-unknown-key]  # for errors.py
        return data


async def read_form(request: ServiceRequest, model: type[T]) -> T:
    """Return the body, an HTML form, as a `model`.

    Raises UnsupportedMediaType, MalformedRequest (also for a repeated field: RFC 6749, 3.2) or InvalidInput.
    """
    check_media_type(FORM, request.raw_headers)
    return read_form_body(await request.body(), model)
