"""What Litestar cannot know of the OpenAPI document: every refusal, and that unknown fields are refused."""

from collections import defaultdict
from typing import Any

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin
from typing_extensions import override

from service import problems
from service.problems import Problem

# Seldom, but anywhere.
ALWAYS: list[type[Problem]] = [
    problems.UnknownHost,
    problems.HeadTooLarge,
    problems.InternalError,
    problems.Unavailable,
]
OF_BODIES = [
    problems.MalformedRequest,
    problems.RequestTimeout,
    problems.ContentTooLarge,
    problems.UnsupportedMediaType,
    problems.InvalidInput,
]
OF_CALLERS = [problems.NotAuthenticated, problems.InvalidToken, problems.SessionEnded, problems.InvalidInput]
# By where a parameter stands, or what it is called.
OF_PARAMETERS: dict[str, list[type[Problem]]] = {
    "path": [problems.NotFound],
    "If-Match": [problems.PreconditionFailed],
    "Idempotency-Key": [problems.RequestInFlight, problems.IdempotencyKeyReused],
}
OF_OPERATIONS: dict[tuple[str, str], list[type[Problem]]] = {
    ("post", "/auth/access-token"): [
        problems.InvalidGrant,
        problems.UnsupportedGrantType,
        problems.TooManyLogins,
    ],
    ("post", "/auth/refresh-token"): [problems.InvalidGrant],
    ("post", "/users/register"): [problems.EmailTaken],
    ("post", "/users/reset-password"): [problems.TooManyLogins],
}
PROBLEM = {
    "title": "Problem",
    "description": "A refusal (RFC 9457); `type` tells which. See docs/problems.md.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri", "description": "the request, as X-Request-ID names it"},
        "errors": {
            "description": "the rules that the input breaks",
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "where (RFC 6901)"},
                    "detail": {"type": "string"},
                },
            },
        },
        "error": {"type": "string", "description": "OAuth 2's code (RFC 6749, 5.2; RFC 6750, 3.1)"},
        "error_description": {"type": "string"},
    },
}
HEADERS = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}


class CompleteDocument(JsonRenderPlugin):
    """The OpenAPI document as JSON, complete."""

    @override
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        complete(openapi_schema)
        return super().render(request, openapi_schema)


def complete(document: dict[str, Any]) -> None:
    """Add to `document` what Litestar leaves out; done twice, it changes nothing."""
    schemas = document["components"]["schemas"]
    schemas["Problem"] = PROBLEM
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _add_refusals(operation, _problems_of(method, path, operation))
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schema = content["schema"]
                name = schema.get("$ref", "").rpartition("/")[2]
                (schemas[name] if name else schema)["additionalProperties"] = False


def _problems_of(method: str, path: str, operation: dict[str, Any]) -> list[type[Problem]]:
    found = [*ALWAYS, *OF_OPERATIONS.get((method, path), [])]
    if "requestBody" in operation:
        found += OF_BODIES
    if operation.get("security"):
        found += OF_CALLERS
    for parameter in operation.get("parameters", []):
        found += OF_PARAMETERS.get(parameter["in"], []) + OF_PARAMETERS.get(parameter["name"], [])
    return found


def _add_refusals(operation: dict[str, Any], found: list[type[Problem]]) -> None:
    if any(parameter["name"] == "If-None-Match" for parameter in operation.get("parameters", [])):
        operation["responses"]["304"] = {"description": "It is still what the client has"}
    operation["responses"].pop("400", None)  # Litestar's own, which nobody gets here
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for problem in found:
        if problem.title not in by_status[problem.status]:
            by_status[problem.status].append(problem.title)
    for status, titles in sorted(by_status.items()):
        operation["responses"][str(status)] = {
            "description": ", or: ".join(titles),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if name := HEADERS.get(status):
            operation["responses"][str(status)]["headers"] = {name: {"schema": {"type": "string"}}}
