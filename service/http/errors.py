"""Turns all that goes wrong, ours and the framework's, into the one form of refusal."""

from collections.abc import Mapping
from typing import Any, TypeVar

import asyncpg
import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.types import Receive, Scope, Send
from litestar.types.asgi_types import HTTPResponseStartEvent
from typing_extensions import override

from service.problems import (
    NO_BODY,
    ContentTooLarge,
    FieldError,
    InternalError,
    InvalidInput,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    Problem,
    of_database,
)
from service.telemetry import log

T = TypeVar("T")
encode = msgspec.json.Encoder().encode
JSON_TYPE = (b"content-type", b"application/json")


class JSONResponse(Response[T]):
    """A JSON answer, encoded at once and handed to the server as it is; the annotation feeds the OpenAPI document.

    Litestar's own Response copies headers and cookies, and looks for media types and encoders: a third of what a
    request costs in Litestar.
    """

    def __init__(self, content: T, *, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Encode `content`; None makes an empty body."""
        self.body = b"" if content is None else encode(content)
        raw = [] if content is None else [JSON_TYPE, (b"content-length", b"%d" % len(self.body))]
        if headers:
            raw += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self.start: HTTPResponseStartEvent = {"type": "http.response.start", "status": status_code, "headers": raw}

    @override
    def to_asgi_response(self, *_: object, **__: object) -> "JSONResponse[T]":  # type: ignore[override]  # nothing of what Litestar passes is used
        """Return what answers: this."""
        return self

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        """Send it (ASGI)."""
        await send(self.start)
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


BY_STATUS: dict[int, type[Problem]] = {404: NotFound, 405: MethodNotAllowed, 413: ContentTooLarge}


def exception_handler(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer `error` as ``application/problem+json`` (RFC 9457), and log it if it is our own mistake."""
    # It asks of the server as a whole (RFC 9110, 9.3.7), which no route of Litestar's can stand for.
    if request.scope["path"] == "*" and request.method == "OPTIONS":
        return Response(None, status_code=204)
    request_id: str = request.scope["request_id"]  # type: ignore[typeddict-item]  # set by middleware.py
    problem = as_problem(error)
    if isinstance(problem, InternalError):
        log.error("request failed", request_id=request_id, method=request.method, path=request.url.path, exc_info=error)
    body = problem.body(request_id)
    handler: BaseRouteHandler | None = request.scope.get("route_handler")  # none where no route was found
    if handler is not None and handler.opt.get("token_endpoint") and problem.status < 500:  # noqa: PLR2004 - our mistakes
        # RFC 6749, 5.2: what is wrong with a request at a token endpoint is `invalid_request`, unless it has a name.
        body = {"error": "invalid_request", "error_description": problem.detail} | body
    return Response(body, status_code=problem.status, headers=problem.headers, media_type="application/problem+json")


def as_problem(error: Exception) -> Problem:
    """Return what `error` means to the client."""
    match error:
        case Problem():
            return error
        case asyncpg.PostgresError():
            return of_database(error)
        case ValidationException(extra=list(findings)):
            return _invalid(findings)
        case HTTPException(status_code=status) if status in BY_STATUS:
            return BY_STATUS[status](headers=error.headers)
        case HTTPException(status_code=status) if status < 500:  # noqa: PLR2004 - the client's mistake
            return MalformedRequest(error.detail)
        case _:
            return InternalError()


def _invalid(findings: list[dict[str, str]]) -> Problem:
    """Return what Litestar found wrong; an impossible id in a path is that of nothing."""
    if any(finding.get("key") == "data" for finding in findings):
        return MalformedRequest(NO_BODY)
    if all(finding.get("source") == "path" for finding in findings):
        return NotFound()
    errors: list[FieldError] = [
        {"pointer": f"/{_name(finding)}", "detail": finding["message"].replace("`", "")} for finding in findings
    ]
    return InvalidInput(f"{errors[0]['pointer']}: {errors[0]['detail']}", errors=errors)


def _name(finding: dict[str, str]) -> str:
    """Return what the client calls it; Litestar tells the name of the handler's argument."""
    key = finding.get("key", "")
    return key.replace("_", "-").title() if finding.get("source") == "header" else key
