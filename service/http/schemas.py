"""Completes the schemas of rows and bodies in the OpenAPI document with the rules that Litestar leaves out."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import time
from decimal import Decimal
from math import ceil
from typing import Any

import msgspec
from litestar.openapi.spec import OpenAPIType, Reference, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition
from typing_extensions import override

# The keyword of each rule of msgspec.Meta, except those of lengths.
RULES = {
    "ge": "minimum",
    "gt": "exclusive_minimum",
    "le": "maximum",
    "lt": "exclusive_maximum",
    "multiple_of": "multiple_of",
    "pattern": "pattern",
}
# The formats of text that Litestar does not know.
FORMATS = {time: "time-local", Decimal: "decimal"}


class BodySchemas(OpenAPISchemaPlugin):
    """Declares that a class rejects unknown fields (``forbid_unknown_fields=True``), wherever a body contains it."""

    @override
    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        config = getattr(field_definition.type_, "__struct_config__", None)
        return bool(config and config.forbid_unknown_fields)

    @override
    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        litestars = next(
            plugin
            for plugin in schema_creator.plugins
            if plugin is not self and schema_creator.plugin_supports_field(plugin, field_definition)
        )
        schema: Schema = litestars.to_openapi_schema(field_definition, schema_creator)
        schema.additional_properties = False
        return schema


class TextSchemas(OpenAPISchemaPlugin):
    """Documents the text of a time of day, a Decimal and bytes: for Litestar, they are a duration and any text."""

    @override
    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        # Bytes without a name are the whole content of a response, which is not encoded.
        return field_definition.type_ in FORMATS or (field_definition.type_ is bytes and bool(field_definition.name))

    @override
    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        if field_definition.type_ is bytes:
            return Schema(type=OpenAPIType.STRING, content_encoding="base64")
        kind: Any = FORMATS[field_definition.type_]  # Litestar knows no such format
        return Schema(type=OpenAPIType.STRING, format=kind)


class MetaSchemas(OpenAPISchemaPlugin):
    """Adds the rules of ``Annotated[…, msgspec.Meta(…)]`` to the schemas of fields of rows and bodies, and of elements.

    Litestar reads only the Meta of a body's own fields. The limits are exact: Litestar's are floats, which cannot
    represent 2**63 - 1.
    """

    @override
    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        return not field_definition.is_union and any(_metas(field_definition))

    @override
    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        schema: Schema | Reference = schema_creator.for_field_definition(replace(field_definition, metadata=()))
        if isinstance(schema, Reference):  # other fields share the schema that it names
            schema = Schema(all_of=[schema])
        measure = "length"
        if field_definition.is_non_string_collection:
            measure = "properties" if field_definition.is_mapping else "items"
        keywords = RULES | {"min_length": f"min_{measure}", "max_length": f"max_{measure}"}
        for meta in _metas(field_definition):
            for rule, keyword in keywords.items():
                if (value := getattr(meta, rule)) is not None:
                    is_encoded = field_definition.type_ is bytes  # three bytes are four characters of base64
                    setattr(schema, keyword, ceil(value / 3) * 4 if is_encoded else value)
            for keyword, value in (meta.extra_json_schema or {}).get("extra", {}).items():  # as Litestar reads it
                setattr(schema, keyword, value)
            schema.description = schema.description or meta.description
            schema.examples = schema.examples or meta.examples
        return schema


def _metas(field: FieldDefinition) -> Iterator[msgspec.Meta]:
    return (meta for meta in field.metadata if isinstance(meta, msgspec.Meta))
