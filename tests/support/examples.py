"""Examples of OpenAPI schemas. This module imports nothing of the service."""

from collections.abc import Mapping
from typing import Any

PLAIN: Mapping[str, object] = {"string": "x", "integer": 1, "number": 1, "boolean": True}


def example_of(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as the schema says
    """Return the first example of a schema, or one of the examples of its parts.

    Objects then have only their required fields, and lists are as short as allowed.
    """
    match schema:
        case {"examples": [first, *_]} | {"enum": [first, *_]} | {"const": first}:
            return first
        case {"$ref": reference}:
            return example_of(document["components"]["schemas"][reference.rpartition("/")[2]], document)
        case {"oneOf": [first, *_], **rules}:
            return example_of({**rules, **first}, document)
        case {"type": "array", "items": items, **rules}:
            return [example_of(items, document)] * rules.get("minItems", 0)
        case {"type": "object", **rules}:
            return {name: example_of(rules["properties"][name], document) for name in rules.get("required", ())}
        case _:
            return PLAIN.get(schema.get("type", ""))
