"""Turns errors from PostgreSQL into problems: which violated constraint means which error response."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import asyncpg
import msgspec

from service.http.parameters import SentParameter
from service.problems import (
    PROBLEM_BY_CONSTRAINT,
    PROBLEM_BY_REFERENCE,
    FieldError,
    InternalError,
    InvalidInput,
    Problem,
    SessionEnded,
    Unavailable,
    pointer_step,
)

# Citus appends the number of a shard to the names of tables and constraints.
SHARD_SUFFIX = re.compile(r"_\d{6,}$")
QUOTED_NAME = re.compile(r'"([^"]+)"')
# PostgreSQL's quotation marks in any language (lc_messages), such as "child", »child«, « child » and ”child”.
QUOTATION_MARK = re.compile('["«»„“”「」『』]')
MARKS_OF_TWO_NAMES = 4
# Citus reports a worker that it lost during a statement with the SQLSTATE of any internal error, or of a disk.
CITUS_WORKER_LOST = re.compile(
    "failure on connection marked as essential|server closed the connection unexpectedly|terminating connection due to"
    "|failed to COPY to shard"
)
# The schema lacks what the query names: the migrations have not run yet.
SCHEMA_BEHIND = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedObjectError,
)
# PostgreSQL refuses statements until an operator acts.
REFUSALS = (
    *SCHEMA_BEHIND,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.DiskFullError,
    asyncpg.OutOfMemoryError,
    asyncpg.ConfigurationLimitExceededError,
)
# In a text; in a jsonb.
UNSTORABLE_CHARACTER = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)
# Ends the context of an error about the value of a parameter, such as a label that an enum lacks.
PARAMETER = re.compile(r"\$\d+$")
# A text that PostgreSQL cannot read as a value of a type, or that a function such as timezone() does not know.
REFUSED_TEXT = (
    asyncpg.InvalidTextRepresentationError,
    asyncpg.InvalidDatetimeFormatError,
    asyncpg.InvalidParameterValueError,
)
# From the first quotation mark of a message to the last; the text between them can contain others.
QUOTED_TEXT = re.compile(f"{QUOTATION_MARK.pattern}(.*){QUOTATION_MARK.pattern}", re.DOTALL)
# The limit in PostgreSQL's message, which can be in any language (lc_messages).
MAX_CHARACTERS = re.compile(r"\w\((?P<limit>\d+)\)")


def problem_from_postgres(
    error: asyncpg.PostgresError, data: object = None, parameters: Iterable[SentParameter] = ()
) -> Problem:
    """Return the problem that `error` becomes, while a request with the body `data` and `parameters` is handled.

    A CHECK, an enum, a length or a NUL that refuses one of their values is a 422 which names it. Any other violated
    constraint becomes the Problem that lists it, else 401 (``<table>_user_id_fkey``) or 500 (a bug).
    """
    refuses_value = isinstance(error, (asyncpg.DataError, asyncpg.CheckViolationError))
    fields = [*_fields(data, parameters)] if refuses_value else []
    return _problem_of_fields(error, fields) or _problem_of_error(error)


def _problem_of_error(error: asyncpg.PostgresError) -> Problem:
    table, constraint = _violated_constraint(error)
    is_referenced = _is_still_referenced(error)
    problems = PROBLEM_BY_REFERENCE if is_referenced else PROBLEM_BY_CONSTRAINT
    match error:
        case asyncpg.IntegrityConstraintViolationError() if constraint in problems:
            return problems[constraint]()
        # The row's owner is gone: the account was deleted during the request.
        case asyncpg.ForeignKeyViolationError() if constraint == f"{table}_user_id_fkey" and not is_referenced:
            return SessionEnded()
        case asyncpg.InternalServerError() | asyncpg.PostgresIOError() if CITUS_WORKER_LOST.match(str(error)):
            return Unavailable()
        case _ if isinstance(error, SCHEMA_BEHIND):
            return Unavailable()
        case asyncpg.DataError() | asyncpg.CheckViolationError() if detail := _invalid_value(error):
            return InvalidInput(detail)
        case _:
            return InternalError()


def _invalid_value(error: asyncpg.DataError | asyncpg.CheckViolationError) -> str | None:
    """Return what is wrong with a value that the client sent; None if the error is a bug."""
    match error:
        case _ if isinstance(error, UNSTORABLE_CHARACTER):
            return "A string contains a character that cannot be stored, such as NUL"
        # An enum lacks the label, or the CHECK of a domain, which names no column, refuses the value.
        case asyncpg.InvalidTextRepresentationError() | asyncpg.CheckViolationError() if PARAMETER.search(
            error.context or ""
        ):
            return "A value is not one of those allowed"
        # asyncpg raises the DataError for a time near the year 1 or 9999 that overflows when converted to UTC.
        case (
            asyncpg.NumericValueOutOfRangeError()
            | asyncpg.DatetimeFieldOverflowError()
            | asyncpg.DataError(__cause__=OverflowError())
        ):
            return "A number or a time is out of range"
        case asyncpg.DataError(__cause__=ValueError()):  # asyncpg cannot encode it, such as a text that is no address
            return "A value is not valid"
        # PostgreSQL's SQLSTATE for this alone. An error of asyncpg about an argument has it, too, but no severity.
        case asyncpg.DataError(sqlstate="22000", severity=str()):
            return "A range begins after its end"
        case _:
            return None


def _is_still_referenced(error: asyncpg.PostgresError) -> bool:
    """Return whether a foreign key kept a referenced row from being deleted or changed; false for a missing one.

    Both errors name the referencing table and the constraint. Only the message of the first also quotes the referenced
    table.
    """
    foreign_key = asyncpg.ForeignKeyViolationError, asyncpg.RestrictViolationError
    return isinstance(error, foreign_key) and len(QUOTATION_MARK.findall(_message(error))) > MARKS_OF_TWO_NAMES


def _message(error: asyncpg.PostgresError) -> str:
    return str(error).partition("\n")[0]


def _violated_constraint(error: asyncpg.PostgresError) -> tuple[str, str]:
    """Return the table and the constraint that `error` names, as spelt in the migrations.

    Citus names both only in the message, and as those of a shard.
    """
    quoted = QUOTED_NAME.findall(_message(error))[:2] or [""]  # the third is the table that refers to the first
    names = error.table_name or quoted[0], error.constraint_name or quoted[-1]
    table, constraint = (SHARD_SUFFIX.sub("", name) for name in names)
    return table, constraint


def _problem_of_fields(error: asyncpg.PostgresError, fields: "list[Field]") -> InvalidInput | None:
    """Return the problem that lists the rejected ones of the request's `fields`; None if `error` names no field.

    A CHECK constraint names its column: ``<table>_<column>_…``, PostgreSQL's own convention. Which element of a list it
    rejected is unknown: the list is named. The error for a text that is too long gives only the limit; every text that
    exceeds it is listed, as is every text that contains NUL, or that PostgreSQL's message quotes.
    """
    if isinstance(error, asyncpg.CheckViolationError):
        table, constraint = _violated_constraint(error)
        column = f"{constraint}_".removeprefix(f"{table}_")
        named = [field for field in fields if field.name and column.startswith(f"{field.name}_")]
        longest = max((len(field.name) for field in named), default=0)  # pieces_min and pieces both match
        pointers = [field.certain_pointer for field in named if len(field.name) == longest]
        detail = "is not an allowed value"
    elif isinstance(error, asyncpg.StringDataRightTruncationError) and (found := MAX_CHARACTERS.search(str(error))):
        limit = int(found["limit"])
        texts = [field for field in fields if isinstance(field.value, str)]
        pointers = [field.pointer for field in texts if len(field.value) > limit]
        detail = f"has more than {limit} characters"
    elif isinstance(error, REFUSED_TEXT):
        quoted = QUOTED_TEXT.search(str(error.args[0]))
        # The whole, or what follows the quoted name of the type.
        refused = {quoted[1].strip(), QUOTATION_MARK.split(quoted[1])[-1].strip()} if quoted else set()
        pointers = [each.pointer for each in fields if isinstance(each.value, str) and each.value.strip() in refused]
        detail = "is not an allowed value"
    elif isinstance(error, UNSTORABLE_CHARACTER):
        pointers = [field.pointer for field in fields if isinstance(field.value, str) and "\0" in field.value]
        detail = "contains NUL, which cannot be stored"
    else:
        return None
    errors: list[FieldError] = [{"pointer": each, "detail": detail} for each in dict.fromkeys(pointers)]
    return InvalidInput(errors=errors) if errors else None


class Field(NamedTuple):
    """A value in a body, or a parameter. An element of a list has the list's name.

    Its `certain_pointer` is the outermost list's, because PostgreSQL does not say which element it rejected.
    """

    name: str
    value: Any
    pointer: str
    certain_pointer: str


def _fields(data: object, parameters: Iterable[SentParameter]) -> Iterator[Field]:
    """Yield each parameter, and each value in the body `data` that is sent and not null."""
    waiting = [Field("", data, "", "")]
    for sent in parameters:
        pointer = f"/{pointer_step(sent.name)}"
        waiting.append(Field(sent.argument, sent.value, pointer, pointer))
    for field in waiting:
        name, value, pointer, certain = field
        if value is None or value is msgspec.UNSET:
            continue
        yield field
        for attribute, encoded in _attributes(value):
            at = f"{pointer}/{pointer_step(encoded)}"
            waiting.append(Field(attribute, getattr(value, attribute), at, at if certain == pointer else certain))
        if isinstance(value, (set, frozenset)):  # in another order than in the body
            waiting += [Field(name, item, pointer, certain) for item in value]
        elif isinstance(value, (list, tuple, dict)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [Field(name, item, f"{pointer}/{pointer_step(str(key))}", certain) for key, item in items]


def _attributes(value: object) -> Iterable[tuple[str, str]]:
    """Return the names of the fields of `value`, an instance of a class, in Python and in JSON."""
    if isinstance(value, msgspec.Struct):
        return zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
    fields = [*getattr(value, "__attrs_attrs__", ()), *getattr(value, "__dataclass_fields__", {}).values()]
    return [(field.name, field.name) for field in fields]
