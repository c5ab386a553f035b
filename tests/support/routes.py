"""The routes of the service, read from its OpenAPI document, each with a valid request.

Only functions, because the plugins import this module: a route that one of them cannot read fails only its tests.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

from service.app import create_app
from service.http import openapi_document
from tests.support import api
from tests.support.application import make_settings
from tests.support.examples import example_of

Operation = Mapping[str, Any]

METHODS = ("get", "post", "put", "patch", "delete")
# httpx's arguments for bodies that are not JSON.
FORMS = {"application/x-www-form-urlencoded": "data", "multipart/form-data": "files"}


@cache
def document() -> Mapping[str, Any]:
    """Return the OpenAPI document."""
    return openapi_document(create_app(make_settings("postgresql://localhost/unused")))


def operations(document: Mapping[str, Any]) -> dict[str, Operation]:
    """Return the OpenAPI description of each "METHOD /path"."""
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


@cache
def routes() -> Mapping[str, Operation]:
    """Return the OpenAPI description of each route."""
    return operations(document())


def guarded() -> list[str]:
    """Return the routes that need an access token."""
    return [route for route, operation in routes().items() if operation.get("security")]


def taking(header: str) -> list[str]:
    """Return the routes that document the request header `header`."""
    return [
        route
        for route, operation in routes().items()
        if any((each["in"], each["name"]) == ("header", header) for each in operation.get("parameters", ()))
    ]


def address(route: str, **ids: object) -> tuple[str, str]:
    """Return the method and the URL of `route`, with `ids` in its path; other ids are examples."""
    method, path = route.split()
    return method, path.format(**_parameters(route, "path") | ids)


def valid_request(route: str, headers: Mapping[str, str] | None = None, **given: object) -> dict[str, Any]:
    """Return a valid request for httpx; `given` replaces ids in the path, and the fields with these names in the body.

    Without `given`, ids are examples, which no object has.
    """
    method, url = address(route, **given)
    documented = {name: str(value) for name, value in _parameters(route, "header", required=True).items()}
    body = _body(route)
    return {
        "method": method,
        "url": url,
        "params": _parameters(route, "query", required=True),
        "headers": {**documented, **api.route(route).headers, **(headers or {})},
        next((FORMS[kind] for kind in _content(route) if kind in FORMS), "json"): body and _replaced(body, given),
    }


def explained(route: str, response: httpx.Response) -> str:
    """Return what to do if a valid request is refused."""
    return (
        f"{route}: {response.status_code} {response.text}\nAdd what the request needs (a body, headers, rows that must "
        "exist) to ROUTES in tests/support/api.py, or examples to the fields of its body."
    )


def needs_json(route: str) -> bool:
    """Return whether the route requires a JSON body."""
    body = routes()[route].get("requestBody", {"required": False})
    return body["required"] and "application/json" in body["content"]


def _content(route: str) -> dict[str, Any]:
    """Return the schemas of the body by content type."""
    content: dict[str, Any] = routes()[route].get("requestBody", {}).get("content", {})
    return content


def _parameters(route: str, place: str, *, required: bool = False) -> dict[str, Any]:
    return {
        each["name"]: example_of(each["schema"], document())
        for each in routes()[route].get("parameters", ())
        if each["in"] == place and (each["required"] or not required)
    }


def _body(route: str) -> Any:  # noqa: ANN401 - as its schema says
    """Return the body in tests/support/api.py, or its required fields, or all if none is required."""
    content = [*_content(route).values()]
    if not content or not routes()[route]["requestBody"]["required"]:
        return None
    components = document()["components"]
    schema = content[0]["schema"]
    schema = components["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
    body = api.route(route).body
    if body is None and "properties" in schema and not schema.get("required"):
        body = {name: example_of(each, document()) for name, each in schema["properties"].items()}
    elif body is None:
        body = example_of(schema, document())
    validator = jsonschema_rs.validator_for({**schema, "components": components})
    for error in validator.iter_errors(body):
        field = next(iter(error.instance_path), "")
        raise AssertionError(
            f"{route}: add an example of `{field}` to its class, or a body to tests/support/api.py: {error.message}"
        )
    return body


def _replaced(value: Any, given: Mapping[str, object]) -> Any:  # noqa: ANN401 - any JSON
    """Return `value` with the `given` values in the fields of that name, at any depth."""
    match value:
        case dict():
            return {name: given.get(name, _replaced(each, given)) for name, each in value.items()}
        case list():
            return [_replaced(each, given) for each in value]
        case _:
            return value
