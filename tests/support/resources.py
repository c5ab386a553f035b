"""The resources that users create, found in the OpenAPI document."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import pytest

from tests.support.routes import BODIES, DOCUMENT, OPERATIONS, taking


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
        return {**(BODIES[f"post {self.create}"] or {}), self.field: text}


def _texts(operation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schemas of the required strings in the body of `operation`."""
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = DOCUMENT["components"]["schemas"][name]
    properties = {field: schema["properties"][field] for field in schema.get("required", ())}
    return {field: each for field, each in properties.items() if each.get("type") == "string" and "maxLength" in each}


def _find() -> Iterator[Resource]:
    for route, operation in OPERATIONS.items():
        method, create = route.split()
        if method != "post" or "Location" not in operation["responses"].get("201", {}).get("headers", {}):
            continue
        path = create.removesuffix("/create")
        [one] = [each for each in DOCUMENT["paths"] if each.rpartition("/{")[0] == path]
        [listed] = [
            each
            for each, methods in DOCUMENT["paths"].items()
            if each in {path, f"{path}/me"} and "get" in methods and "{" not in each
        ]
        for field, schema in list(_texts(operation).items())[:1]:
            yield Resource(path, create, listed, one.rpartition("{")[2][:-1], field, schema["maxLength"])


RESOURCES = list(_find())


@pytest.fixture(scope="session")
def resource() -> Resource:
    """Return a resource whose creation takes an Idempotency-Key."""
    for each in RESOURCES:
        if f"post {each.create}" in taking("Idempotency-Key"):
            return each
    pytest.skip("the service has no resource that is created with an Idempotency-Key")
