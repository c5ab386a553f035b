"""Turns every exception into a problem document (RFC 9457).

The exceptions are Problems raised by handlers, errors of PostgreSQL (`database_problems.py`), and those of Litestar.
"""

from http import HTTPStatus
from time import monotonic
from typing import Any

import asyncpg
import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.enums import ParamType
from litestar.exceptions import HTTPException, NotFoundException, ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.types import Receive, Scope, Send

from service.http.body import field_error
from service.http.database_problems import REFUSALS, problem_from_postgres
from service.http.parameters import declared_parameters, missing_parameters, sent_parameters
from service.http.request import ServiceRequest
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

# Seconds between two log entries about statements that PostgreSQL refuses for the same reason.
REFUSAL_INTERVAL = 60.0


def problem_response(problem: Problem, request_id: str, *, token_endpoint: bool = False) -> JSONResponse[Any]:
    """Return `problem` as the response to the request `request_id`."""
    body = problem.body(request_id, token_endpoint=token_endpoint)
    return JSONResponse(body, status_code=problem.status, headers=problem.headers, media_type=PROBLEM_TYPE)


def exception_handler(request: Request[Any, Any, Any], error: Exception) -> JSONResponse[Any]:
    """Return the response for `error`; log errors that are bugs of the service."""
    # "OPTIONS *" asks about the server as a whole (RFC 9110, 9.3.7); no route can match it.
    if isinstance(error, NotFoundException) and request.scope["path"] == "*" and request.method == "OPTIONS":
        return JSONResponse(None, status_code=204)
    request_id: str = request.scope["request_id"]  # type: ignore[typeddict-item]  # set by middleware.py
    handler: BaseRouteHandler | None = request.scope.get("route_handler")  # None if no route matched
    problem = problem_from_exception(error, request, handler)
    _log_refusal(request.app.state, error)
    if isinstance(problem, InternalError):
        log.error(
            "request failed", request_id=request_id, method=request.method, path=request.scope["path"], exc_info=error
        )
    return problem_response(
        problem, request_id, token_endpoint=handler is not None and bool(handler.opt.get("token_endpoint"))
    )


async def send_problem(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Send `problem` as the response to a request that reaches no handler."""
    await exception_handler(ServiceRequest(scope), problem)(scope, receive, send)


def _log_refusal(state: State, error: BaseException) -> None:
    """Log why PostgreSQL refuses statements until an operator acts, such as a read-only server; once a minute."""
    cause = error.__cause__ if isinstance(error, Unavailable) else error
    if not isinstance(cause, REFUSALS):
        return
    next_logs = state.setdefault("next_refusals", {})  # when to log each type again
    if monotonic() >= next_logs.get(type(cause), 0):
        next_logs[type(cause)] = monotonic() + REFUSAL_INTERVAL
        log.error("statement refused", reason="; ".join([str(cause.args[0]), *getattr(cause, "__notes__", [])]))


def problem_from_exception(
    error: Exception, request: Request[Any, Any, Any], handler: BaseRouteHandler | None
) -> Problem:
    """Return the problem that `error` becomes."""
    match error:
        case Problem():
            return error
        case asyncpg.PostgresError():
            parameters = sent_parameters(handler, request, [ParamType.QUERY, ParamType.PATH]) if handler else ()
            return problem_from_postgres(error, request.scope.get("data"), parameters)
        case ValidationException(extra=[_, *_] as errors) if all(
            isinstance(each, dict) and "message" in each for each in errors
        ):
            return _problem_from_validation(errors, handler)
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


def _problem_from_validation(errors: list[dict[str, str]], handler: BaseRouteHandler | None) -> Problem:
    """Return the problem for the validation errors of Litestar; an invalid id in a path is 404."""
    if any(error["message"] == "'data'" for error in errors):  # Litestar's KeyError
        return MalformedRequest(NO_BODY)
    if all(error.get("source") == "path" for error in errors):
        return NotFound()
    return InvalidInput(errors=[_field_error(error, handler) for error in errors])


def _field_error(error: dict[str, str], handler: BaseRouteHandler | None) -> FieldError:
    """Return the error with the name that clients use; Litestar reports the name of the handler's argument."""
    argument, kinds = error.get("key", ""), ParamType if handler else ()
    names = {field.name: name for kind in kinds for name, field in declared_parameters(handler, kind).items()}
    pointer = "" if argument == "data" else f"/{pointer_step(names.get(argument, argument))}"
    return field_error(msgspec.ValidationError(error["message"]), pointer)
