"""Reads request bodies strictly: JSON or a form becomes an instance of a class, or an error lists what is invalid."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from itertools import islice
from typing import Annotated, Any, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from service.problems import MAX_ERRORS, FieldError, InvalidInput, MalformedRequest, UnsupportedMediaType, pointer_step

T = TypeVar("T")

JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"
# The wording of msgspec's errors, which can quote any text of the client: each search takes linear time.
ERROR_PATH = re.compile(r" - at (`key` in )?`\$(?P<path>[^`]*)`\Z")
PATH_STEP = re.compile(r"\.|\[(\d+)\]")
FIELD_ERROR = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)
# The depth searched for errors, because clients choose the body.
MAX_DEPTH = 8
# The formats of dates, times and Decimals in the JSON schema.
FORMATS_WITH_INFINITY = (b'"format":"date', b'"format":"decimal"')
# asyncpg sends these as PostgreSQL's infinity and -infinity, which no client intends.
INFINITE_DATES = {date.min, date.max, datetime.min, datetime.max}  # noqa: DTZ901 - asyncpg compares naive UTC times


def read_json(body: bytes, model: Any) -> Any:  # noqa: ANN401 - any type
    """Decode the JSON `body` as an instance of `model`.

    Raises MalformedRequest or InvalidInput.
    """
    try:
        try:
            return decoder(model)(body)
        except msgspec.ValidationError as error:  # the body can still be malformed, behind the invalid field
            raise InvalidInput(errors=_all_field_errors(body, model) or [field_error(error)]) from None
    except msgspec.DecodeError as error:
        raise MalformedRequest(f"The body is not JSON: {error}") from None
    except RecursionError:
        raise MalformedRequest("The body is not JSON: it is nested too deeply") from None


def read_form_body(body: bytes, model: type[T]) -> T:
    """Decode `body`, an HTML form, as an instance of `model`.

    Raises InvalidInput; MalformedRequest if it is not a form or repeats a field (RFC 6749, 3.2).
    """
    try:
        fields = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=20
        )
    except ValueError as error:
        raise MalformedRequest(f"The body is not a form: {error}") from None
    form = dict(fields)
    if len(form) < len(fields):
        raise MalformedRequest("The body is not a form: a field is given more than once")
    decoded: T = read_json(msgspec.json.encode(form), model)
    return decoded


def accept_header(method: str) -> str:
    """Return the name of the header that lists accepted media types (RFC 5789, 2.2; RFC 9110, 15.5.16)."""
    return {"POST": "Accept-Post", "PATCH": "Accept-Patch"}.get(method, "Accept")


def check_media_type(media_type: bytes, method: str, headers: Mapping[bytes, bytes]) -> None:
    """Raise UnsupportedMediaType unless the headers declare an uncompressed body of `media_type`."""
    declared = headers.get(b"content-type", b"")
    if declared != media_type and declared.partition(b";")[0].strip().lower() != media_type:
        name = media_type.decode()
        raise UnsupportedMediaType(f"Send the body as {name}", headers={accept_header(method): name})
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedMediaType("Send the body uncompressed", headers={"Accept-Encoding": "identity"})


@cache
def decoder(model: Any) -> Callable[[bytes], Any]:  # noqa: ANN401 - any type
    """Return a function that decodes JSON as a `model`; cached, because creating one costs more than calling it.

    The function raises InvalidInput for an infinite date, time or Decimal, or NaN. Raises TypeError if msgspec does not
    support the class.
    """
    decode = msgspec.json.Decoder(model).decode
    schema = msgspec.json.encode(msgspec.json.schema(model))
    if not any(each in schema for each in FORMATS_WITH_INFINITY):
        return decode

    def decode_finite(body: bytes) -> object:
        decoded = decode(body)
        if errors := [*_infinite_values(msgspec.to_builtins(decoded, builtin_types=(date, datetime, Decimal)))]:
            raise InvalidInput(errors=errors)
        return decoded

    return decode_finite


def is_infinite(value: date | Decimal | float) -> bool:
    """Return whether PostgreSQL would store `value` as infinity or NaN, or Python cannot convert it to UTC.

    PostgreSQL's NaN is greater than all numbers, so a CHECK such as ``price > 0`` accepts it.
    """
    if isinstance(value, Decimal | float):
        return not Decimal(value).is_finite()
    if isinstance(value, datetime) and value.tzinfo:
        try:
            value = value.astimezone(UTC).replace(tzinfo=None)
        except OverflowError:  # its time in UTC is before the year 1 or after 9999
            return True
    return value in INFINITE_DATES


def _infinite_values(value: object, pointer: str = "") -> Iterator[FieldError]:
    match value:
        case dict():
            for name, item in value.items():
                yield from _infinite_values(item, f"{pointer}/{pointer_step(str(name))}")
        case list():
            for index, item in enumerate(value):
                yield from _infinite_values(item, f"{pointer}/{index}")
        case date() | Decimal() if is_infinite(value):
            yield {"pointer": pointer, "detail": "is out of range"}


def field_errors(value: object, model: Any, pointer: str = "") -> Iterator[FieldError]:  # noqa: ANN401 - any type
    """Yield every error of `value`, the decoded JSON at `pointer`, against `model`; msgspec stops at the first."""
    try:
        msgspec.convert(value, model)
    except msgspec.ValidationError as error:
        is_deep = pointer.count("/") >= MAX_DEPTH
        nested = () if is_deep else islice(_nested_field_errors(value, model, pointer), MAX_ERRORS)
        yield from [*nested] or [field_error(error, pointer)]


def _all_field_errors(body: bytes, model: object) -> list[FieldError]:
    try:
        return [*field_errors(msgspec.json.decode(body), model)]
    except (msgspec.ValidationError, RecursionError):  # Python cannot represent a number, or the depth of another field
        return []


def _nested_field_errors(value: object, model: Any, pointer: str) -> Iterator[FieldError]:  # noqa: ANN401 - any type
    if get_origin(model) is Annotated:
        model = get_args(model)[0]
    if isinstance(value, dict) and isinstance(model, type) and issubclass(model, msgspec.Struct):
        fields = {field.encode_name: field for field in msgspec.structs.fields(model)}
        for name, field in fields.items():
            if name in value:
                yield from field_errors(value[name], field.type, f"{pointer}/{pointer_step(name)}")
            elif field.required:
                yield {"pointer": f"{pointer}/{pointer_step(name)}", "detail": "is missing"}
        if model.__struct_config__.forbid_unknown_fields:
            for name in [name for name in value if name not in fields]:
                yield {"pointer": f"{pointer}/{pointer_step(name)}", "detail": "is not a known field"}
    elif isinstance(value, list | dict) and get_origin(model) is type(value):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from field_errors(item, get_args(model)[-1], f"{pointer}/{pointer_step(str(key))}")


def field_error(error: msgspec.ValidationError, pointer: str = "") -> FieldError:
    """Convert a validation error of msgspec, which it found in the value at `pointer`."""
    detail = str(error)
    if located := ERROR_PATH.search(detail):
        path, *_ = located["path"].split("[...")
        detail, pointer = detail[: located.start()], pointer + PATH_STEP.sub(r"/\1", path)
    if field := FIELD_ERROR.fullmatch(detail):
        pointer += "/" + pointer_step(field["name"])
        detail = "is missing" if field["what"] == "missing required" else "is not a known field"
    return {"pointer": pointer, "detail": detail.replace("`", "")}
