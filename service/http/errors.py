"""Turns every exception into a problem document (RFC 9457).

The exceptions are Problems raised by handlers, errors of PostgreSQL (mapped in `service/problems.py`), and those of
Litestar.
"""

import re
from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
from litestar import Request
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import BaseRouteHandler

from service.http.parameters import missing_parameters
from service.http.response import JSONResponse
from service.problems import (
    NO_BODY,
    PHRASES,
    ContentTooLarge,
    FieldError,
    Forbidden,
    HTTPProblem,
    InternalError,
    InvalidInput,
    MalformedRequest,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    NotImplementedHere,
    Problem,
    Unavailable,
    UnsupportedMediaType,
    pointer_step,
    problem_from_postgres,
    violated_constraint,
)
from service.telemetry import log

PROBLEM_TYPE = "application/problem+json"
# The problem for each status that Litestar raises; other statuses become an HTTPProblem.
PROBLEM_BY_STATUS: dict[int, type[Problem]] = {
    400: MalformedRequest,
    401: NotAuthenticated,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: ContentTooLarge,
    415: UnsupportedMediaType,
    422: InvalidInput,
    501: NotImplementedHere,
    503: Unavailable,
}
# The limit in PostgreSQL's message, which can be in any language (lc_messages).
MAX_CHARACTERS = re.compile(r"\w\((?P<limit>\d+)\)")


def problem_response(problem: Problem, request_id: str, *, token_endpoint: bool = False) -> JSONResponse[Any]:
    """Return `problem` as the response to the request `request_id`."""
    body = problem.body(request_id, token_endpoint=token_endpoint)
    return JSONResponse(body, status_code=problem.status, headers=problem.headers, media_type=PROBLEM_TYPE)


def exception_handler(request: Request[Any, Any, Any], error: Exception) -> JSONResponse[Any]:
    """Return the response for `error`; log errors that are bugs of the service."""
    # "OPTIONS *" asks about the server as a whole (RFC 9110, 9.3.7); no route can match it.
    if request.scope["path"] == "*" and request.method == "OPTIONS":
        return JSONResponse(None, status_code=204)
    request_id: str = request.scope["request_id"]  # type: ignore[typeddict-item]  # set by middleware.py
    handler: BaseRouteHandler | None = request.scope.get("route_handler")  # None if no route matched
    problem = problem_from_exception(error, request, handler)
    if isinstance(problem, InternalError):
        log.error("request failed", request_id=request_id, method=request.method, path=request.url.path, exc_info=error)
    return problem_response(
        problem, request_id, token_endpoint=handler is not None and bool(handler.opt.get("token_endpoint"))
    )


def problem_from_exception(
    error: Exception, request: Request[Any, Any, Any], handler: BaseRouteHandler | None
) -> Problem:
    """Return the problem that `error` becomes."""
    match error:
        case Problem():
            return error
        case asyncpg.PostgresError():
            return _problem_of_fields(error, request.scope.get("data")) or problem_from_postgres(error)
        case ValidationException(extra=list(errors)):
            return _problem_from_validation(errors)
        case ValidationException() if handler and (errors := missing_parameters(handler, request)):
            return InvalidInput(errors=errors)
        case HTTPException(status_code=status) if status != 500:  # noqa: PLR2004 - the details of a 500 are hidden
            return _problem_from_litestar(error, status)
        case _:
            return InternalError()


def _problem_from_litestar(error: HTTPException, status: int) -> Problem:
    """Return the problem for an exception of Litestar; a 429 gets ``Retry-After`` (RFC 6585, 4)."""
    generic_details = {PHRASES.get(status), getattr(type(error), "detail", None)}
    detail = None if error.detail in generic_details else error.detail
    if kind := PROBLEM_BY_STATUS.get(status):
        return kind(detail, headers=error.headers)
    problem = HTTPProblem(status, detail, headers=error.headers)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        problem.headers.setdefault("Retry-After", "1")
    return problem


def _problem_from_validation(errors: list[dict[str, str]]) -> Problem:
    """Return the problem for the validation errors of Litestar; an invalid id in a path is 404."""
    if any(error.get("key") == "data" for error in errors):
        return MalformedRequest(NO_BODY)
    if all(error.get("source") == "path" for error in errors):
        return NotFound()
    return InvalidInput(
        errors=[
            {"pointer": f"/{pointer_step(_parameter_name(error))}", "detail": error["message"].replace("`", "")}
            for error in errors
        ]
    )


def _parameter_name(error: dict[str, str]) -> str:
    """Return the name that clients use; Litestar reports the name of the handler's argument."""
    key = error.get("key", "")
    return key.replace("_", "-").title() if error.get("source") == "header" else key


def _problem_of_fields(error: asyncpg.PostgresError, data: object) -> InvalidInput | None:
    """Return the problem that lists the rejected fields of `data`, the request's body; None if it is about no field.

    A CHECK constraint names its column: ``<table>_<column>_…``, PostgreSQL's own convention. The error for a text that
    is too long gives only the limit; every field that exceeds it is listed.
    """
    if not isinstance(data, msgspec.Struct):
        return None
    values = [(field, getattr(data, field.name)) for field in msgspec.structs.fields(data)]
    if isinstance(error, asyncpg.CheckViolationError):
        table, constraint = violated_constraint(error)
        name = f"{constraint}_".removeprefix(f"{table}_")
        rejected = [field for field, value in values if value is not None and name.startswith(f"{field.name}_")]
        detail = "is not an allowed value"
    elif isinstance(error, asyncpg.StringDataRightTruncationError) and (found := MAX_CHARACTERS.search(str(error))):
        limit = int(found["limit"])
        rejected = [field for field, value in values if isinstance(value, str) and len(value) > limit]
        detail = f"has more than {limit} characters"
    else:
        return None
    errors: list[FieldError] = [
        {"pointer": f"/{pointer_step(field.encode_name)}", "detail": detail} for field in rejected
    ]
    return InvalidInput(errors=errors) if errors else None
