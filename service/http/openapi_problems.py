"""The error responses in the OpenAPI document: the problems of each operation, with examples."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from service import problems
from service.http.middleware import PATHS_FOR_ANY_HOST
from service.problems import Problem

REQUEST_ID = "6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1a"
EXAMPLE = problems.InvalidInput.example()
# Problems of every operation.
OF_ALL_OPERATIONS: list[type[Problem]] = [
    problems.HeadTooLarge,
    problems.InternalError,
    problems.Unavailable,
]
OF_OPERATIONS_WITH_BODY: list[type[Problem]] = [
    problems.MalformedRequest,
    problems.RequestTimeout,
    problems.ContentTooLarge,
    problems.UnsupportedMediaType,
    problems.InvalidInput,
    problems.NotImplementedHere,
]
OF_AUTHENTICATED_OPERATIONS: list[type[Problem]] = [
    problems.NotAuthenticated,
    problems.InvalidToken,
    problems.SessionEnded,
    problems.InvalidInput,
]
# By the location of a parameter, or its name.
OF_PARAMETERS: dict[str, list[type[Problem]]] = {
    "path": [problems.NotFound],
    "query": [problems.InvalidInput],
    "header": [problems.InvalidInput],
    "cookie": [problems.InvalidInput],
    "If-Match": [problems.PreconditionFailed],
}


def _property(description: str, example: object, **schema: object) -> dict[str, Any]:
    return {"type": "string", "description": description, "examples": [example]} | schema


SCHEMAS: dict[str, dict[str, Any]] = {
    "FieldError": {
        "title": "FieldError",
        "description": "An invalid field.",
        "type": "object",
        "required": ["pointer", "detail"],
        "properties": {
            "pointer": _property("JSON Pointer to the field (RFC 6901)", EXAMPLE.errors[0]["pointer"]),
            "detail": _property("what is wrong with it", EXAMPLE.errors[0]["detail"]),
        },
    },
    "Problem": {
        "title": "Problem",
        "description": "Problem details (RFC 9457); `type` identifies the kind of problem.",
        "type": "object",
        "required": ["type", "title", "status", "detail", "instance"],
        "properties": {
            "type": _property("problem type", problems.InvalidInput.type, format="uri-reference"),
            "title": _property("title of the problem type", problems.InvalidInput.title),
            "status": {
                "type": "integer",
                "minimum": 400,
                "maximum": 599,
                "examples": [problems.InvalidInput.status],
            },
            "detail": _property("what is wrong with this request", EXAMPLE.detail),
            "instance": _property("URN of the request's X-Request-ID", f"urn:uuid:{REQUEST_ID}", format="uri"),
            "errors": {
                "description": "the invalid fields",
                "type": "array",
                "items": {"$ref": "#/components/schemas/FieldError"},
            },
            "error": _property("OAuth 2 error code (RFC 6749, 5.2; RFC 6750, 3.1)", "invalid_grant"),
            "error_description": _property("the same as `detail`", "The credentials are not valid"),
        },
    },
}
HEADERS: dict[str, dict[str, Any]] = {
    name: {"description": description, "schema": {"type": "string", "examples": [example]}}
    for name, description, example in (
        (
            "RateLimit",
            "attempts left, and seconds until all are available again",
            '"failed-logins";r=0;t=900',
        ),
        ("RateLimit-Policy", "allowed attempts, and the period in seconds", '"failed-logins";q=5;w=900'),
        ("Retry-After", "seconds to wait before the next attempt", "1"),
        (
            "WWW-Authenticate",
            "`Bearer`, and what is wrong with the token (RFC 6750, 3)",
            'Bearer error="invalid_token"',
        ),
        ("X-Request-ID", "identifies the request in the service's logs", REQUEST_ID),
    )
}


def header_reference(name: str) -> dict[str, str]:
    """Return a reference to a header in HEADERS."""
    return {"$ref": f"#/components/headers/{name}"}


def operation_problems(path: str, operation: Mapping[str, Any], opt: Mapping[str, Any]) -> list[type[Problem]]:
    """Return the problems of an operation: those that its handler declares (``problems=[…]``), and the general ones."""
    found = [*OF_ALL_OPERATIONS, *opt.get("problems", ())]
    if path not in PATHS_FOR_ANY_HOST:
        found.append(problems.UnknownHost)
    if "requestBody" in operation:
        found += OF_OPERATIONS_WITH_BODY
    if operation.get("security"):
        found += OF_AUTHENTICATED_OPERATIONS
    for parameter in operation.get("parameters", []):
        found += OF_PARAMETERS.get(parameter["in"], []) + OF_PARAMETERS.get(parameter["name"], [])
    return found


def problem_responses(kinds: Iterable[type[Problem]], opt: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the responses for the problems in `kinds`, by status.

    Those of a token endpoint have OAuth's members (RFC 6749, 5.2).
    """
    by_status: defaultdict[int, dict[str, Problem]] = defaultdict(dict)
    for kind in kinds:
        by_status[kind.status].setdefault(kind.type, kind.example())
    token_endpoint = bool(opt.get("token_endpoint"))
    return {
        str(status): {
            "description": ", or: ".join(example.title for example in examples.values()),
            "headers": {name: header_reference(name) for each in examples.values() for name in each.headers},
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {
                        name.rpartition("/")[2]: {"value": example.body(REQUEST_ID, token_endpoint=token_endpoint)}
                        for name, example in examples.items()
                    },
                }
            },
        }
        for status, examples in sorted(by_status.items())
    }
