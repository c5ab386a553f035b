"""The response that handlers return."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response
from litestar.background_tasks import BackgroundTask, BackgroundTasks
from litestar.datastructures import Cookie
from litestar.types import Receive, Scope, Send
from typing_extensions import override

T = TypeVar("T")
encode = msgspec.json.Encoder().encode
# Clients would read content as the beginning of the next response (RFC 9112, 6.3).
NO_CONTENT = {204, 304}
CONTENT_REFUSED = "A response with status {} has no content: return JSONResponse(None, …)"


class JSONResponse(Response[T]):
    """A JSON response, encoded on creation. Its type argument becomes the schema in the OpenAPI document.

    It replaces Litestar's Response, which copies headers and cookies and looks up media types and encoders for each
    request.
    """

    def __init__(
        self,
        content: T,
        *,
        status_code: int | None = None,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/json",
        background: BackgroundTask | BackgroundTasks | None = None,
    ) -> None:
        """Encode `content`; None means an empty body, the only one that 204 and 304 can have. Raises ValueError.

        `status_code` is that of the handler by default. `background` runs after the response is sent.
        """
        if content is not None and status_code in NO_CONTENT:
            raise ValueError(CONTENT_REFUSED.format(status_code))
        self.body = b"" if content is None else encode(content)
        self.media_type = None if content is None else media_type
        self.status_code = status_code
        self.headers = dict(headers or {})
        self.cookies = []
        self.background = background

    @override
    def to_asgi_response(  # type: ignore[override]  # the response is itself the ASGI application
        self,
        app: object,
        request: Request[Any, Any, Any],
        *,
        background: BackgroundTask | BackgroundTasks | None = None,
        cookies: Iterable[Cookie] | None = None,
        headers: Mapping[str, str] | None = None,
        **_: object,
    ) -> "JSONResponse[T]":
        """Return this response, with the headers and cookies that the layers of the handler add."""
        self.background = self.background or background
        self.headers = {**(headers or {}), **self.headers}
        self.cookies = [*self.cookies, *(cookies or ())]
        return self

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as they are sent."""
        raw: list[tuple[bytes, bytes]] = []
        if self.media_type:
            raw = [(b"content-type", self.media_type.encode()), (b"content-length", b"%d" % len(self.body))]
        for name, value in self.headers.items():
            raw.append((name.lower().encode(), value.encode()))
        for cookie in self.cookies:
            raw.append((b"set-cookie", cookie.to_header(header="").encode()))
        return raw

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the ASGI signature
        """Send the response (ASGI). Raises ValueError if the status of the handler allows no content."""
        # A middleware can respond without a handler.
        declared: int = getattr(scope.get("route_handler"), "status_code", 200)
        status = self.status_code or declared
        if self.body and status in NO_CONTENT:
            raise ValueError(CONTENT_REFUSED.format(status))
        await send({"type": "http.response.start", "status": status, "headers": self.raw_headers()})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})
        if self.background is not None:
            await self.background()


def type_without_json(content: Any) -> type | None:  # noqa: ANN401 - the annotation of a response's content
    """Return a type in `content` that a column can have, but that msgspec cannot encode, such as ``asyncpg.Range``."""
    custom: list[type] = []

    def describe(custom_type: type) -> dict[str, object]:
        custom.append(custom_type)
        return {}

    with suppress(TypeError, NameError):  # has no schema, but can be encoded
        msgspec.json.schema(content, schema_hook=describe)
    return next((each for each in custom if each.__module__.partition(".")[0] in {"asyncpg", "ipaddress"}), None)
