"""Decodes json and jsonb columns into the attrs classes and msgspec Structs that the fields of the row declare."""

from collections.abc import Callable
from typing import Any, ForwardRef, NewType, TypeVar, get_args, get_type_hints

import attrs
import msgspec

R = TypeVar("R")


class WrongJSONError(Exception):
    """The JSON of a row does not match its class: a mistake in the SQL file, or in what is stored."""


def row_factory(query: str, row: type[R]) -> Callable[..., R]:
    """Return a factory of `row` objects from columns: `row` itself if no field is decoded from JSON."""
    fields = _fields(row)
    hints = get_type_hints(row) if any(_is_quoted(kind) for _, kind in fields) else {}
    decoders = [
        (place, name, msgspec.json.Decoder(kind))
        for place, (name, annotation) in enumerate(fields)
        if annotation is not None and _has_object(kind := hints.get(name, annotation))
    ]
    if not decoders:
        return row

    def make(*columns: Any) -> R:  # noqa: ANN401 - of any type
        values = list(columns)
        for place, name, decoder in decoders:
            if values[place] is not None:
                try:
                    values[place] = decoder.decode(values[place])
                except msgspec.MsgspecError as error:
                    raise WrongJSONError(f"{query}: {row.__name__}.{name}: {error}") from error
        return row(*values)

    return make


def _fields(row: type) -> list[tuple[str, Any]]:
    """Return the names and annotations of the fields of an attrs class or a NamedTuple; None for a converted field."""
    if attrs.has(row):
        return [(each.name, None if each.converter else each.type) for each in attrs.fields(row) if each.init]
    return [(name, row.__annotations__[name]) for name in getattr(row, "_fields", ())]


def _is_quoted(kind: Any) -> bool:  # noqa: ANN401 - an annotation
    """Return whether an annotation is text, or contains one: ``list["Pet"]``."""
    return isinstance(kind, str | ForwardRef) or any(_is_quoted(part) for part in get_args(kind))


def _has_object(kind: Any) -> bool:  # noqa: ANN401 - an annotation
    """Return whether a type is a class that JSON becomes, or contains one: ``list[Pet]``, ``Pet | None``."""
    if isinstance(kind, NewType):
        return _has_object(kind.__supertype__)
    if isinstance(kind, type) and (attrs.has(kind) or issubclass(kind, msgspec.Struct)):
        return True
    return any(_has_object(part) for part in get_args(kind))
