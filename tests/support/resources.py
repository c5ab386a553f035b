"""The resources that users create, found in the OpenAPI document."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import attrs
import pytest

from tests.support import api
from tests.support.routes import document, routes, taking, valid_request


@attrs.frozen
class Resource:
    """A resource: the paths that create, list and find it, and the text field that users set."""

    path: str
    create: str
    list: str
    id: str
    field: str
    longest: int
    """Characters of the text."""

    @property
    def table(self) -> str:
        """The name of its table."""
        return self.path.strip("/").replace("-", "_")

    def one(self, id_: object) -> str:
        """Return the path of one object."""
        return f"{self.path}/{id_}"

    def body(self, text: str) -> dict[str, object]:
        """Return the body that creates an object with `text`."""
        return {**(valid_request(f"POST {self.create}")["json"] or {}), self.field: text}


def _texts(operation: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the required strings in the JSON body of `operation`, with their maximum lengths."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {"schema": {}})
    name = content["schema"].get("$ref", "").rpartition("/")[2]
    schema = document()["components"]["schemas"].get(name, {})
    for field in schema.get("required", ()):
        found = schema["properties"][field]
        if found.get("type") == "string" and "maxLength" in found:
            yield field, found["maxLength"]


@cache
def resources() -> list[Resource]:
    """Return the resources that every user can create, list and find by an id."""
    return list(_find())


def _find() -> Iterator[Resource]:
    for route, operation in routes().items():
        method, create = route.split()
        if method != "POST" or "Location" not in operation["responses"].get("201", {}).get("headers", {}):
            continue
        if api.route(route).rows:
            continue
        path = create.removesuffix("/create")
        found = [re.fullmatch(rf"GET {path}/\{{(\w+)\}}", each) for each in routes()]
        ids = [each[1] for each in found if each]
        lists = [each for each in (path, f"{path}/me") if f"GET {each}" in routes()]
        texts = list(_texts(operation))
        if ids and lists and texts:
            yield Resource(path, create, lists[0], ids[0], *texts[0])


@pytest.fixture(scope="session")
def resource() -> Resource:
    """Return a resource whose creation takes an Idempotency-Key."""
    for each in resources():
        if f"POST {each.create}" in taking("Idempotency-Key"):
            return each
    pytest.skip("the service has no resource that is created with an Idempotency-Key")
