"""Decodes json and jsonb columns into the attrs classes and msgspec Structs that the fields of the row declare."""

from collections.abc import Callable
from typing import Any, NewType, TypeVar, get_args, get_origin, get_type_hints

import attrs
import msgspec

R = TypeVar("R")


class WrongJSONError(Exception):
    """The JSON of a row does not match its class: a mistake in the SQL file, or in what is stored."""


def row_factory(query: str, row: type[R]) -> Callable[..., R]:
    """Return a factory of `row` objects from columns: `row` itself if no field is decoded from JSON."""
    hints = get_type_hints(get_origin(row) or row, include_extras=True)
    decoders = [
        (index, name, msgspec.json.Decoder(hints[name]))
        for index, name in enumerate(_fields(row))
        if _has_object(hints.get(name))
    ]
    if not decoders:
        return row

    def make(*columns: Any) -> R:  # noqa: ANN401 - of any type
        values = list(columns)
        for index, name, decoder in decoders:
            if values[index] is not None:
                try:
                    values[index] = decoder.decode(values[index])
                except msgspec.MsgspecError as error:
                    raise WrongJSONError(f"{query}: {row.__name__}.{name}: {error}") from error
        return row(*values)

    return make


def _fields(row: type) -> list[str]:
    """Return the field names of an attrs class or a NamedTuple; "" for a field whose converter takes the JSON text."""
    if attrs.has(row):
        return ["" if each.converter else each.name for each in attrs.fields(row) if each.init]
    return [*getattr(row, "_fields", ())]


def _has_object(kind: Any) -> bool:  # noqa: ANN401 - an annotation
    """Return whether a type is a class that is built from JSON, or contains one: ``list[Pet]``, ``Pet | None``."""
    if isinstance(kind, NewType):
        return _has_object(kind.__supertype__)
    if isinstance(kind, type) and (attrs.has(kind) or issubclass(kind, msgspec.Struct)):
        return True
    return any(_has_object(part) for part in get_args(kind))
