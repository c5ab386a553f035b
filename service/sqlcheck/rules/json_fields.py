"""JSON of known shape, compared with the class that msgspec builds from it."""

from collections.abc import Iterator

from service.sqlcheck.analysis.json_shape import JsonShape
from service.sqlcheck.analysis.nullability import NEVER
from service.sqlcheck.row_classes import Annotation, Field, json_fields

ANY_TYPE = {"typing.Any", "object"}


def mismatches(shape: JsonShape, annotation: Annotation, path: str) -> Iterator[str]:
    """Yield the differences in keys and types, each as a sentence.

    :param path: the name of the value: ``owner``, ``pets[]``
    """
    fields = _fields(annotation)
    if shape.keys is not None and fields is not None:
        if lacking := [name for name, field in fields.items() if not field.has_default and name not in shape.keys]:
            yield f"{path} lacks {', '.join(lacking)} of {annotation}"
        if unknown := [name for name in shape.keys if name not in fields]:
            yield f"{path} has {', '.join(unknown)}, which {annotation} lacks"
    elif not _fits(shape, annotation):
        kind = "an object" if shape.keys is not None else "an array" if shape.element else shape.type
        labels = shape.type.lacking(annotation) if shape.type else ""
        yield f"{path} is {kind} in JSON, but the class says {annotation}{labels}"
    for name, inside, part in _children(shape, annotation, path):
        yield from mismatches(inside, part, name)


def nested_values(shape: JsonShape, annotation: Annotation, path: str) -> Iterator[tuple[str, JsonShape, Annotation]]:
    """Yield all nested values: path, shape, and the type of the field."""
    for name, inside, part in _children(shape, annotation, path):
        yield name, inside, part
        yield from nested_values(inside, part, name)


def _fields(annotation: Annotation) -> dict[str, Field] | None:
    return json_fields(*annotation.definition) if annotation.definition else None


def _children(shape: JsonShape, annotation: Annotation, path: str) -> Iterator[tuple[str, JsonShape, Annotation]]:
    fields = _fields(annotation) or {}
    for name, inside in (shape.keys or {}).items():
        if name in fields and not fields[name].converted and fields[name].annotation.name not in ANY_TYPE:
            yield f"{path}.{name}", inside, fields[name].annotation
    if shape.element and annotation.element:
        yield f"{path}[]", shape.element, annotation.element


def _fits(shape: JsonShape, annotation: Annotation) -> bool:
    """Return whether a value has the right kind, regardless of nested values."""
    if " | " in annotation.name:
        return True
    if shape.keys is not None:
        return annotation.definition is not None or annotation.name.startswith("dict")
    if shape.element is not None:
        return annotation.element is not None
    if shape.type is None:
        return True
    element = shape.type.bare.element
    if element and annotation.element:
        return _fits(JsonShape(element, NEVER), annotation.element)
    return shape.type.matches_in_json(annotation)
