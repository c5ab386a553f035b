"""Turns every error, ours and the framework's, into a problem document (RFC 9457)."""

import http.client
import re
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
# The problems that a status of the framework's stands for; every other one keeps its status and detail as it is.
BY_STATUS: dict[int, type[Problem]] = {
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
TOO_LONG = re.compile(r"value too long for type \w[\w ]*\((?P<most>\d+)\)")


def problem_response(problem: Problem, request_id: str, *, token_endpoint: bool = False) -> JSONResponse[Any]:
    """Return `problem` as the response to the request `request_id`."""
    body = problem.body(request_id, token_endpoint=token_endpoint)
    return JSONResponse(body, status_code=problem.status, headers=problem.headers, media_type=PROBLEM_TYPE)


def exception_handler(request: Request[Any, Any, Any], error: Exception) -> JSONResponse[Any]:
    """Return the response to `error`, and log it if it is our own mistake."""
    # It asks about the server as a whole (RFC 9110, 9.3.7), which no route can stand for.
    if request.scope["path"] == "*" and request.method == "OPTIONS":
        return JSONResponse(None, status_code=204)
    request_id: str = request.scope["request_id"]  # type: ignore[typeddict-item]  # set by middleware.py
    handler: BaseRouteHandler | None = request.scope.get("route_handler")  # none if no route was found
    problem = as_problem(error, request, handler)
    if isinstance(problem, InternalError):
        log.error("request failed", request_id=request_id, method=request.method, path=request.url.path, exc_info=error)
    return problem_response(
        problem, request_id, token_endpoint=handler is not None and bool(handler.opt.get("token_endpoint"))
    )


def as_problem(error: Exception, request: Request[Any, Any, Any], handler: BaseRouteHandler | None) -> Problem:
    """Return what `error` means to the client."""
    match error:
        case Problem():
            return error
        case asyncpg.PostgresError():
            return _refused_field(error, request.scope.get("data")) or problem_from_postgres(error)
        case ValidationException(extra=list(findings)):
            return _invalid(findings)
        case ValidationException() if handler and (errors := missing_parameters(handler, request)):
            return InvalidInput(errors=errors)
        case HTTPException(status_code=status) if status != 500:  # noqa: PLR2004 - nothing of our mistakes is told
            return _of_status(error, status)
        case _:
            return InternalError()


def _of_status(error: HTTPException, status: int) -> Problem:
    """Return the problem of an exception of Litestar's; with 429, clients are told when to ask again (RFC 6585, 4)."""
    same_for_all = {http.client.responses.get(status), getattr(type(error), "detail", None)}
    detail = None if error.detail in same_for_all else error.detail
    if kind := BY_STATUS.get(status):
        return kind(detail, headers=error.headers)
    problem = HTTPProblem(status, detail, headers=error.headers)
    if status == http.client.TOO_MANY_REQUESTS:
        problem.headers.setdefault("Retry-After", "1")
    return problem


def _invalid(findings: list[dict[str, str]]) -> Problem:
    """Return what Litestar found wrong; an impossible id in a path is that of nothing."""
    if any(finding.get("key") == "data" for finding in findings):
        return MalformedRequest(NO_BODY)
    if all(finding.get("source") == "path" for finding in findings):
        return NotFound()
    return InvalidInput(
        errors=[
            {"pointer": f"/{pointer_step(_name(finding))}", "detail": finding["message"].replace("`", "")}
            for finding in findings
        ]
    )


def _name(finding: dict[str, str]) -> str:
    """Return the client's name of a parameter; Litestar reports the name of the handler's argument."""
    key = finding.get("key", "")
    return key.replace("_", "-").title() if finding.get("source") == "header" else key


def _refused_field(error: asyncpg.PostgresError, data: object) -> InvalidInput | None:
    """Return the refusal of the fields of `data`, the request's body, whose values `error` is about, if there are any.

    A CHECK is named ``<table>_<column>_…``, as PostgreSQL itself names one; of a length, the error gives the number.
    """
    if not isinstance(data, msgspec.Struct):
        return None
    values = [(field, getattr(data, field.name)) for field in msgspec.structs.fields(data)]
    if isinstance(error, asyncpg.CheckViolationError):
        table, constraint = violated_constraint(error)
        name = f"{constraint}_".removeprefix(f"{table}_")
        refused = [field for field, value in values if value is not None and name.startswith(f"{field.name}_")]
        detail = "is not an allowed value"
    elif found := TOO_LONG.search(str(error)):
        most = int(found["most"])
        refused = [field for field, value in values if isinstance(value, str) and len(value) > most]
        detail = f"has more than {most} characters"
    else:
        return None
    errors: list[FieldError] = [
        {"pointer": f"/{pointer_step(field.encode_name)}", "detail": detail} for field in refused
    ]
    return InvalidInput(errors=errors) if errors else None
