"""Rejects undeclared and repeated query parameters; reports missing query parameters, headers and cookies."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from litestar import Request
from litestar.constants import RESERVED_KWARGS
from litestar.enums import ParamType
from litestar.handlers import BaseRouteHandler
from litestar.params import ParameterKwarg
from litestar.typing import FieldDefinition

from service.http.body import is_infinite
from service.problems import FieldError, InvalidInput, pointer_step

# The attribute of a request that contains its parameters of each kind.
REQUEST_ATTRIBUTES = {
    ParamType.QUERY: "query_params",
    ParamType.HEADER: "headers",
    ParamType.COOKIE: "cookies",
    ParamType.PATH: "path_params",
}
# Stands for a byte that is not UTF-8 (PEP 383).
ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


def check_query(handler: BaseRouteHandler, query: bytes) -> None:
    """Raise InvalidInput for an undeclared parameter, a repeated one (unless it is a list), or an infinite value.

    Also for a value that is not UTF-8, whose invalid bytes Litestar would replace.
    """
    declared = declared_parameters(handler, ParamType.QUERY)
    seen: set[str] = set()
    errors: list[FieldError] = []
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="surrogateescape"):
        if name not in declared:
            readable = name.encode(errors="surrogateescape").decode(errors="replace")
            errors.append({"pointer": f"/{pointer_step(readable)}", "detail": "is not a known parameter"})
        elif name in seen and not declared[name].is_non_string_sequence:
            errors.append({"pointer": f"/{pointer_step(name)}", "detail": "is given more than once"})
        elif ESCAPED_BYTE.search(value):
            errors.append({"pointer": f"/{pointer_step(name)}", "detail": "is not UTF-8"})
        elif _is_infinite(value, declared[name]):
            errors.append({"pointer": f"/{pointer_step(name)}", "detail": "is out of range"})
        seen.add(name)
    if errors:
        raise InvalidInput(errors=errors)


def missing_parameters(handler: BaseRouteHandler, request: Request[Any, Any, Any]) -> list[FieldError]:
    """Return an error for each required query parameter, header or cookie that `request` lacks."""
    missing: list[str] = []
    for kind in REQUEST_ATTRIBUTES:
        sent = {each.name for each in sent_parameters(handler, request, [kind])}
        declared = declared_parameters(handler, kind).items()
        missing += [name for name, field in declared if field.is_required and name not in sent]
    return [{"pointer": f"/{pointer_step(name)}", "detail": "is missing"} for name in missing]


class SentParameter(NamedTuple):
    """A parameter of a request: the argument of the handler, the name that clients use, the (first) value."""

    argument: str
    name: str
    value: Any


def sent_parameters(
    handler: BaseRouteHandler, request: Request[Any, Any, Any], kinds: Iterable[ParamType]
) -> Iterator[SentParameter]:
    """Yield the parameters of `kinds` that `handler` declares and `request` has."""
    for kind in kinds:
        sent: Mapping[str, Any] = getattr(request, REQUEST_ATTRIBUTES[kind])
        for name, field in declared_parameters(handler, kind).items():
            if name in sent:
                yield SentParameter(field.name, name, sent[name])


def _is_infinite(text: str, field: FieldDefinition) -> bool:
    """Return whether `field` is a date, a time or a number, and PostgreSQL would store `text` as infinity or NaN."""
    kinds = tuple(kind for kind in (field.annotation, *field.args) if isinstance(kind, type))
    try:
        if any(issubclass(kind, date) for kind in kinds):
            return is_infinite(msgspec.convert(text, datetime if len(text) > len("2026-01-31") else date))
        return any(issubclass(kind, Decimal | float) for kind in kinds) and is_infinite(msgspec.convert(text, Decimal))
    except msgspec.ValidationError:
        return False  # Litestar reports the error


@cache
def declared_parameters(handler: BaseRouteHandler, kind: ParamType) -> dict[str, FieldDefinition]:
    """Return the parameters of `kind` that the handler and its dependencies declare, by the names that clients use."""
    dependencies = handler.resolve_dependencies()
    signatures = [handler.parsed_fn_signature, *(each.parsed_fn_signature for each in dependencies.values())]
    fields = {name: field for signature in signatures for name, field in signature.parameters.items()}
    declared = {}
    for name, field in fields.items():
        definition = field.kwarg_definition
        if name in {*RESERVED_KWARGS, *dependencies}:
            continue
        if isinstance(definition, ParameterKwarg):
            if definition.param_type is kind:
                declared[definition.name or name] = field
        elif definition is None and kind is ParamType.QUERY:
            declared[name] = field  # Litestar's rule for arguments without a declaration
    return declared
