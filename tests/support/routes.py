"""The routes of the service, read from its OpenAPI document, each with a body that it accepts."""

from collections.abc import Mapping
from typing import Any

from service.app import create_app
from service.http import openapi_document
from tests.support.application import make_settings

Body = dict[str, object] | None
Operation = Mapping[str, Any]

METHODS = ("get", "post", "put", "patch", "delete")
# Every other route needs an access token. The list is written by hand, so that no route becomes public by mistake.
OPEN = frozenset(
    {
        "post /auth/access-token",
        "post /auth/refresh-token",
        "post /auth/logout",
        "post /users/register",
        "get /health/live",
        "get /health/ready",
    }
)
DOCUMENT: Mapping[str, Any] = openapi_document(create_app(make_settings("postgresql://localhost/unused")))


def operations(document: Mapping[str, Any]) -> dict[str, Operation]:
    """Return the OpenAPI description of each "method /path"."""
    return {
        f"{method} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def body_of(operation: Operation) -> Body:
    """Return the example of the JSON body that `operation` needs: its required fields, or all if none is required."""
    body = operation.get("requestBody", {})
    content = body.get("content", {}).get("application/json")
    if content is None or not body["required"]:
        return None
    schema = DOCUMENT["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    return {name: schema["properties"][name]["examples"][0] for name in schema.get("required") or schema["properties"]}


OPERATIONS = operations(DOCUMENT)
BODIES: Mapping[str, Body] = {route: body_of(operation) for route, operation in OPERATIONS.items()}
GUARDED: Mapping[str, Body] = {route: body for route, body in BODIES.items() if route not in OPEN}


def taking(header: str) -> list[str]:
    """Return the routes that document the request header `header`."""
    return [
        route
        for route, operation in OPERATIONS.items()
        if any((each["in"], each["name"]) == ("header", header) for each in operation.get("parameters", ()))
    ]
