"""The OpenAPI document: what Litestar reads from the handlers, and what it cannot know."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from litestar import Controller, Litestar, Request, Router
from litestar.datastructures import ResponseHeader
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Contact, License, OAuthFlow, OAuthFlows, SecurityScheme, Tag
from typing_extensions import override

from service import __version__, problems
from service.http.openapi_examples import example
from service.problems import NotFound, Problem

DOCUMENT = "/openapi.json"
TITLE = "Pets"
CONTACT = "Whoever runs this service"
DESCRIPTION = """Accounts, log-ins, and the pets of each account.

Log in at `POST /auth/access-token`; the access token goes into `Authorization: Bearer …` and lives for minutes, the
refresh token gets the next pair. Unknown fields are refused. Every refusal is a problem document (RFC 9457)."""


def _header(name: str, description: str) -> ResponseHeader:
    return ResponseHeader(name, description=description, required=True, documentation_only=True)


# What answers say in their headers, for handlers to name.
ETAG = _header("ETag", "its version, for `If-Match` and `If-None-Match` (RFC 9110, 8.8.3)")
LOCATION = _header("Location", "where it is found")
NO_STORE = _header("Cache-Control", "`no-store`: the answer is a secret")
LINK = ResponseHeader(
    "Link", description='`<…>; rel="next"` (RFC 8288): the next page, while there is one', documentation_only=True
)
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
FIELD_ERROR = {
    "title": "FieldError",
    "description": "A rule that the input breaks.",
    "type": "object",
    "required": ["pointer", "detail"],
    "properties": {
        "pointer": {"type": "string", "description": "where (RFC 6901)"},
        "detail": {"type": "string", "examples": ["Expected str of length >= 1"]},
    },
}
PROBLEM = {
    "title": "Problem",
    "description": "A refusal (RFC 9457); `type` tells which. See docs/problems.md.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "examples": [problems.InvalidInput.type]},
        "title": {"type": "string", "examples": [problems.InvalidInput.title]},
        "status": {"type": "integer", "minimum": 400, "maximum": 599, "examples": [problems.InvalidInput.status]},
        "detail": {"type": "string", "examples": ["/pet_name: Expected str of length >= 1"]},
        "instance": {
            "type": "string",
            "format": "uri",
            "description": "the request, as X-Request-ID names it",
            "examples": ["urn:uuid:6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1a"],
        },
        "errors": {
            "description": "the rules that the input breaks",
            "type": "array",
            "items": {"$ref": "#/components/schemas/FieldError"},
        },
        "error": {
            "type": "string",
            "description": "OAuth 2's code (RFC 6749, 5.2; RFC 6750, 3.1)",
            "examples": [problems.InvalidGrant.error],
        },
        "error_description": {"type": "string", "examples": ["Incorrect email or password"]},
    },
}
REFUSED = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
HEADERS = {
    "RateLimit": "how many more log-ins may fail, and the seconds until all may again",
    "RateLimit-Policy": "how many log-ins may fail, and in how many seconds",
    "Retry-After": "seconds until it is worth to ask again",
    "WWW-Authenticate": "`Bearer`, and what is wrong with the token (RFC 6750, 3)",
    "X-Request-ID": "names the request in the service's logs",
}
OF_STATUSES = {
    401: ["WWW-Authenticate"],
    429: ["RateLimit", "RateLimit-Policy", "Retry-After"],
    503: ["Retry-After"],
}
LARGEST_BIGINT = 2**63 - 1


def openapi_config(controllers: Sequence[type[Controller]]) -> OpenAPIConfig:
    """Return what the document says of the whole service, and how it is served."""
    log_in = OAuthFlows(password=OAuthFlow(token_url="/auth/access-token", scopes={}))  # noqa: S106 - a path
    bearer = SecurityScheme(type="oauth2", description="The access token of a log-in", flows=log_in)
    return OpenAPIConfig(
        title=TITLE,
        version=__version__,
        description=DESCRIPTION,
        contact=Contact(name=CONTACT),
        license=License(name="MIT", url="https://opensource.org/license/mit"),
        tags=[Tag(tag, description=each.__doc__) for each in controllers for tag in vars(each)["tags"]],
        use_handler_docstrings=True,
        operation_id_creator=lambda handler, _method, _path: handler.handler_name,
        openapi_router=Router(DOCUMENT, route_handlers=[], include_in_schema=False, before_request=_only_the_document),
        render_plugins=[CompleteDocument(path="/")],
        components=Components(security_schemes={"bearer": bearer}),
    )


async def _only_the_document(request: Request[Any, Any, Any]) -> None:
    """Refuse the other paths that Litestar makes below the document's, whose answers are no problem documents."""
    if request.url.path != DOCUMENT:
        raise NotFound


class CompleteDocument(JsonRenderPlugin):
    """The OpenAPI document as JSON, complete."""

    @override
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        complete(openapi_schema)
        return super().render(request, openapi_schema)


def openapi_document(app: Litestar) -> dict[str, Any]:
    """Return the document as clients get it."""
    document = app.openapi_schema.to_schema()
    complete(document)
    return document


def complete(document: dict[str, Any]) -> None:
    """Add to `document` what Litestar leaves out; done twice, it changes nothing."""
    schemas = document["components"]["schemas"]
    schemas |= {"FieldError": FIELD_ERROR, "Problem": PROBLEM}
    document["components"]["headers"] = {name: _text(description) for name, description in HEADERS.items()}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _summarise(operation)
            _add_refusals(operation, _problems_of(method, path, operation))
            for parameter in operation.get("parameters", []):
                _take_no_null(parameter["schema"])
            for content in operation.get("requestBody", {}).get("content", {}).values():
                if "$ref" not in content["schema"]:  # a form; classes of clients are named after what has a place here
                    schemas[content["schema"]["title"]] = content["schema"]
                    content["schema"] = {"$ref": f"#/components/schemas/{content['schema']['title']}"}
                schemas[content["schema"]["$ref"].rpartition("/")[2]]["additionalProperties"] = False
    for name, schema in _named_schemas(document):
        _mend(name, schema)


def _summarise(operation: dict[str, Any]) -> None:
    """Make the first clause of the handler's docstring the summary."""
    description = operation["description"].replace("``", "`")
    operation["description"] = description
    operation["summary"] = re.split(r"[;.(]", description, maxsplit=1)[0].strip()


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
    responses = operation["responses"]
    if any(parameter["name"] == "If-None-Match" for parameter in operation.get("parameters", [])):
        headers = {"ETag": dict(responses["200"]["headers"]["ETag"])}
        responses["304"] = {"description": "It is still what the client has", "headers": headers}
    responses.pop("400", None)  # Litestar's own, which nobody gets here
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for problem in found:
        if problem.title not in by_status[problem.status]:
            by_status[problem.status].append(problem.title)
    for status, titles in sorted(by_status.items()):
        headers = {name: _header_of(name) for name in OF_STATUSES.get(status, ())}
        responses[str(status)] = {"description": ", or: ".join(titles), "content": REFUSED, "headers": headers}
    for response in responses.values():
        for header in response["headers"].values():
            if "$ref" not in header:
                header["schema"] = {"type": "string"}
        response["headers"]["X-Request-ID"] = _header_of("X-Request-ID")


def _header_of(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _text(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _take_no_null(schema: dict[str, Any]) -> None:
    """Say that a parameter is text: one that is left out is None to its handler, but nobody can send a null."""
    for kind in schema.pop("oneOf", []):
        if kind != {"type": "null"}:
            schema |= kind


def _named_schemas(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return each schema of a property, a parameter or a header, with the name that it has there."""
    headers = list(document["components"]["headers"].items())
    for operation in (each for operations in document["paths"].values() for each in operations.values()):
        for response in operation["responses"].values():
            headers += [(name, header) for name, header in response["headers"].items() if "$ref" not in header]
        for parameter in operation.get("parameters", []):
            yield parameter["name"], parameter["schema"]
    for schema in document["components"]["schemas"].values():
        yield from schema.get("properties", {}).items()
    for name, header in headers:
        yield name, header["schema"]


def _mend(name: str, schema: dict[str, Any]) -> None:
    """Give the schema of `name` an example, and say its limits exactly."""
    for limit in ("minimum", "maximum"):
        if limit in schema:
            schema[limit] = min(int(schema[limit]), LARGEST_BIGINT)  # Litestar makes a float of 2**63 - 1
    kinds = [each for each in schema.get("oneOf", []) if each != {"type": "null"}]
    if name == "email":
        schema["format"] = "email"
    if "$ref" not in schema and schema.get("type") != "array":
        schema.setdefault("examples", [example(name, kinds[0] if kinds else schema)])
