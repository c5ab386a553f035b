"""The schemas of rows, bodies and their rules in the OpenAPI document: what Litestar leaves out of them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import time
from typing import Annotated, Any, cast, get_args, get_origin

import msgspec
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.plugins.attrs import AttrsSchemaPlugin
from litestar.typing import FieldDefinition
from typing_extensions import override

# The keyword of each rule of msgspec.Meta; those of lengths depend on the type.
RULES = {
    "ge": "minimum",
    "gt": "exclusive_minimum",
    "le": "maximum",
    "lt": "exclusive_maximum",
    "multiple_of": "multiple_of",
    "pattern": "pattern",
}
TEXT_RULES = RULES | {"min_length": "min_length", "max_length": "max_length"}
LIST_RULES = RULES | {"min_length": "min_items", "max_length": "max_items"}
OBJECT_RULES = RULES | {"min_length": "min_properties", "max_length": "max_properties"}


class RowSchemas(AttrsSchemaPlugin):
    """Adds the description and examples of ``Annotated[…, msgspec.Meta(…)]`` to the schemas of attrs classes."""

    @override
    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        schema = super().to_openapi_schema(field_definition, schema_creator)
        for name, hint in field_definition.get_type_hints(include_extras=True).items():
            field = (schema.properties or {}).get(name)
            for meta in _metas(hint) if isinstance(field, Schema) else ():
                field = cast("Schema", field)
                field.description, field.examples = meta.description, meta.examples
                for key, value in (meta.extra_json_schema or {}).get("extra", {}).items():
                    setattr(field, key, value)
        return schema


def _metas(hint: object) -> Iterator[msgspec.Meta]:
    if get_origin(hint) is Annotated:
        yield from (meta for meta in hint.__metadata__ if isinstance(meta, msgspec.Meta))  # type: ignore[attr-defined]  # Annotated has it
    for part in get_args(hint):
        yield from _metas(part)


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


class TimeSchemas(OpenAPISchemaPlugin):
    """Documents a time of day, which Litestar documents as a duration."""

    @override
    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        return field_definition.type_ is time

    @override
    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        return Schema(type=OpenAPIType.STRING, format="time-local")  # type: ignore[arg-type]  # Litestar knows no such format


class RuleSchemas(OpenAPISchemaPlugin):
    """Adds the rules of ``Annotated[…, msgspec.Meta(…)]``; Litestar adds only those of a field itself, not of elements.

    The limits are exact: Litestar's own are floats, which cannot represent 2**63 - 1.
    """

    @override
    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        rules = [getattr(meta, rule) for meta in _own_metas(field_definition) for rule in TEXT_RULES]
        return not field_definition.is_union and any(rule is not None for rule in rules)

    @override
    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        schema: Schema = schema_creator.for_field_definition(replace(field_definition, metadata=()))
        keywords = TEXT_RULES
        if field_definition.is_non_string_collection:
            keywords = OBJECT_RULES if field_definition.is_mapping else LIST_RULES
        for meta in _own_metas(field_definition):
            for rule, keyword in keywords.items():
                if (value := getattr(meta, rule)) is not None:
                    setattr(schema, keyword, value)
            schema.description = schema.description or meta.description
            schema.examples = schema.examples or meta.examples
        return schema


def _own_metas(field: FieldDefinition) -> list[msgspec.Meta]:
    return [meta for meta in field.metadata if isinstance(meta, msgspec.Meta)]
