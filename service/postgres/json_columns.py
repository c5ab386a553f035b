"""Fields that are objects: an attrs class or a msgspec Struct, alone or in a list, is decoded from json or jsonb."""

from collections.abc import Callable
from typing import Any, TypeVar, get_args, get_type_hints

import attrs
import msgspec

R = TypeVar("R")


class WrongJSONError(Exception):
    """A query returned other JSON than its class declares: a mistake in the SQL file, or in what is stored."""


def row_factory(query: str, row: type[R]) -> Callable[..., R]:
    """Return what makes an object of a row's columns: the class itself, if none of its fields is read from JSON."""
    fields = [field for field in attrs.fields(row) if field.init] if attrs.has(row) else []
    hints = get_type_hints(row) if any(isinstance(field.type, str) for field in fields) else {}
    decoders = [
        (place, field.name, msgspec.json.Decoder(kind))
        for place, field in enumerate(fields)
        if field.converter is None and _has_object(kind := hints.get(field.name, field.type))
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


def _has_object(kind: Any) -> bool:  # noqa: ANN401 - an annotation
    """Tell whether a type is a class that JSON becomes, or contains one: ``list[Pet]``, ``Pet | None``."""
    if isinstance(kind, type) and (attrs.has(kind) or issubclass(kind, msgspec.Struct)):
        return True
    return any(_has_object(part) for part in get_args(kind))
