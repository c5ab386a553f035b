"""JSON against the class that msgspec makes of it, as far as the query shows its shape."""

from collections.abc import Iterator

from service.sqlcheck.json_shape import Shape
from service.sqlcheck.nullability import NEVER
from service.sqlcheck.row_classes import Annotation, Field, json_fields

ANYTHING = {"typing.Any", "object"}


def mismatches(shape: Shape, annotation: Annotation, path: str) -> Iterator[str]:
    """Yield what differs in keys and types."""
    fields = _fields(annotation)
    if shape.keys is not None and fields is not None:
        if lacking := [name for name, field in fields.items() if not field.has_default and name not in shape.keys]:
            yield f"{path} lacks {', '.join(lacking)} of {annotation}"
        if unknown := [name for name in shape.keys if name not in fields]:
            yield f"{path} has {', '.join(unknown)}, of which {annotation} has no field"
    elif not _fits(shape, annotation):
        yield f"{path} is {_called(shape)} in JSON, the class says {annotation}"
    for name, inside, part in _inside(shape, annotation, path):
        yield from mismatches(inside, part, name)


def parts(shape: Shape, annotation: Annotation, path: str) -> Iterator[tuple[str, Shape, Annotation]]:
    """Yield all that is inside, by its path, with what the class makes of it."""
    for name, inside, part in _inside(shape, annotation, path):
        yield name, inside, part
        yield from parts(inside, part, name)


def _fields(annotation: Annotation) -> dict[str, Field] | None:
    return json_fields(*annotation.definition) if annotation.definition else None


def _inside(shape: Shape, annotation: Annotation, path: str) -> Iterator[tuple[str, Shape, Annotation]]:
    fields = _fields(annotation) or {}
    for name, inside in (shape.keys or {}).items():
        if name in fields and not fields[name].converted and fields[name].annotation.name not in ANYTHING:
            yield f"{path}.{name}", inside, fields[name].annotation
    if shape.element and annotation.element:
        yield f"{path}[]", shape.element, annotation.element


def _fits(shape: Shape, annotation: Annotation) -> bool:
    """Tell whether the kind of a value fits, whatever is inside."""
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
        return _fits(Shape(element, NEVER), annotation.element)
    return shape.type.in_json(annotation)


def _called(shape: Shape) -> str:
    kinds = {"an object": shape.keys is not None, "an array": shape.element is not None}
    return next((kind for kind, true in kinds.items() if true), str(shape.type))
