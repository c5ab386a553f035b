"""Bodies, read strictly: JSON or a form becomes an instance of a declared class, or an error names the rule."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cache
from itertools import islice
from typing import Annotated, Any, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from service.problems import FieldError, InvalidInput, MalformedRequest, UnsupportedMediaType, pointer_step

T = TypeVar("T")

JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"
# How msgspec words its findings.
AT = re.compile(r"(?P<detail>.*) - at `(key in )?\$(?P<path>.*)`", re.DOTALL)
STEP = re.compile(r"\.|\[(.+?)\]")
FIELD = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)
# How many broken rules of one body are named, and how deep they are looked for: a client chooses neither.
MOST_ERRORS, DEEPEST = 20, 8
# asyncpg sends these as PostgreSQL's infinity and -infinity, which no client can mean.
INFINITE = {date.min, date.max, datetime.min, datetime.max}  # noqa: DTZ901 - as asyncpg compares them, in UTC


def read_json(body: bytes, model: Any) -> Any:  # noqa: ANN401 - any type
    """Return `body`, JSON, as a `model`.

    Raises MalformedRequest or InvalidInput.
    """
    try:
        return decoder(model)(body)
    except msgspec.ValidationError as error:
        raise InvalidInput(errors=_all_broken_rules(body, model) or [finding(error)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRequest(f"The body is not JSON: {error}") from None
    except RecursionError:
        raise MalformedRequest("The body is not JSON: it is nested too deeply") from None


def read_form_body(body: bytes, model: type[T]) -> T:
    """Return `body`, an HTML form, as a `model`.

    Raises MalformedRequest (also for a repeated field: RFC 6749, 3.2) or InvalidInput.
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
    if errors := [*islice(broken_rules(form, model), MOST_ERRORS)]:
        raise InvalidInput(errors=errors)
    return msgspec.convert(form, model)


def check_media_type(media_type: bytes, headers: Mapping[bytes, bytes]) -> None:
    """Check that the body is declared to be of `media_type`, uncompressed.

    Raises UnsupportedMediaType.
    """
    declared = headers.get(b"content-type", b"")
    if declared != media_type and declared.partition(b";")[0].strip().lower() != media_type:
        name = media_type.decode()
        raise UnsupportedMediaType(f"Send the body as {name}", headers={"Accept-Post": name})
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedMediaType("Send the body uncompressed", headers={"Accept-Encoding": "identity"})


@cache
def decoder(model: Any) -> Callable[[bytes], Any]:  # noqa: ANN401 - any type
    """Return the function that reads a `model` from JSON; to make it costs more than to use it.

    Raises TypeError if msgspec cannot read such a class.
    """
    decode = msgspec.json.Decoder(model).decode
    if b'"format":"date' not in msgspec.json.encode(msgspec.json.schema(model)):
        return decode

    def decode_finite(body: bytes) -> object:
        decoded = decode(body)
        if errors := [*_infinite_dates(msgspec.to_builtins(decoded, builtin_types=(date, datetime)))]:
            raise InvalidInput(errors=errors)
        return decoded

    return decode_finite


def is_infinite(value: date) -> bool:
    """Return whether PostgreSQL would store `value`, a date or a time, as infinity."""
    if isinstance(value, datetime) and value.tzinfo:
        try:
            value = value.astimezone(UTC).replace(tzinfo=None)
        except OverflowError:  # near the year 1 or 9999, and beyond it in UTC
            return True
    return value in INFINITE


def _infinite_dates(value: object, pointer: str = "") -> Iterator[FieldError]:
    match value:
        case dict():
            for name, each in value.items():
                yield from _infinite_dates(each, f"{pointer}/{pointer_step(str(name))}")
        case list():
            for number, each in enumerate(value):
                yield from _infinite_dates(each, f"{pointer}/{number}")
        case date() if is_infinite(value):
            yield {"pointer": pointer, "detail": "is out of range"}


def broken_rule(error: msgspec.ValidationError) -> InvalidInput:
    """Return msgspec's finding as a problem that points at the field (RFC 6901)."""
    return InvalidInput(errors=[finding(error)])


def broken_rules(value: object, model: Any, pointer: str = "") -> Iterator[FieldError]:  # noqa: ANN401 - any type
    """Yield what is wrong with `value`, decoded JSON at `pointer`, as a `model`: msgspec stops at the first."""
    try:
        msgspec.convert(value, model)
    except msgspec.ValidationError as error:
        inner = islice(_broken_parts(value, model, pointer), MOST_ERRORS) if pointer.count("/") < DEEPEST else ()
        yield from [*inner] or [finding(error, pointer)]


def _all_broken_rules(body: bytes, model: object) -> list[FieldError]:
    try:
        return [*islice(broken_rules(msgspec.json.decode(body), model), MOST_ERRORS)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # behind the first broken rule it is not JSON
        return []


def _broken_parts(value: object, model: Any, pointer: str) -> Iterator[FieldError]:  # noqa: ANN401 - any type
    if get_origin(model) is Annotated:
        model = get_args(model)[0]
    if isinstance(value, dict) and isinstance(model, type) and issubclass(model, msgspec.Struct):
        fields = {field.encode_name: field for field in msgspec.structs.fields(model)}
        for name, field in fields.items():
            if name in value:
                yield from broken_rules(value[name], field.type, f"{pointer}/{pointer_step(name)}")
            elif field.required:
                yield {"pointer": f"{pointer}/{pointer_step(name)}", "detail": "is missing"}
        if model.__struct_config__.forbid_unknown_fields:
            for name in [name for name in value if name not in fields]:
                yield {"pointer": f"{pointer}/{pointer_step(name)}", "detail": "is not a known field"}
    elif isinstance(value, list) and get_origin(model) is list:
        for number, each in enumerate(value):
            yield from broken_rules(each, get_args(model)[0], f"{pointer}/{number}")


def finding(error: msgspec.ValidationError, pointer: str = "") -> FieldError:
    """Return what msgspec found wrong below `pointer`."""
    detail = str(error)
    if found := AT.fullmatch(detail):
        detail, pointer = found["detail"], pointer + STEP.sub(r"/\1", found["path"])
    if field := FIELD.fullmatch(detail):
        pointer += "/" + pointer_step(field["name"])
        detail = "is missing" if field["what"] == "missing required" else "is not a known field"
    return {"pointer": pointer, "detail": detail.replace("`", "")}
