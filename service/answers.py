"""Turns all that goes wrong, ours and the framework's, into the one form of refusal."""

from typing import Any

import asyncpg
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import BaseRouteHandler

from service.logs import log
from service.problems import (
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

BY_STATUS: dict[int, type[Problem]] = {404: NotFound, 405: MethodNotAllowed, 413: ContentTooLarge}


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, object]]:
    """Answer `error` as ``application/problem+json`` (RFC 9457), and log it if it is our own mistake."""
    request_id: str = request.scope["request_id"]  # type: ignore[typeddict-item]
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
        return MalformedRequest("The body is empty")
    if all(finding.get("source") == "path" for finding in findings):
        return NotFound()
    errors: list[FieldError] = [
        {"pointer": f"/{finding.get('key', '')}", "detail": finding["message"].replace("`", "")} for finding in findings
    ]
    return InvalidInput(f"{errors[0]['pointer']}: {errors[0]['detail']}", errors=errors)
