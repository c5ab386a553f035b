"""Parses the arguments of ``new``: a resource, its fields and their types."""

import builtins
import keyword
import re
from collections.abc import Iterable

import attrs
from pglast.keywords import RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS

from service.problems import OperatorError

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MAX_NAME = 63  # bytes; PostgreSQL truncates longer names
# Not for tables and columns: reserved words, columns that every resource has, and words that yoyo or sqlfluff misread.
RESERVED = {*RESERVED_KEYWORDS, *TYPE_FUNC_NAME_KEYWORDS, *keyword.kwlist, "id", "user_id", "version"}
RESERVED |= {"commutator", "connect", "declare", "hashes", "merges", "negator", "prior", "rightarg"}
RESERVED |= {"bool", "date", "datetime", "int", "str"}  # a field of that name would shadow the type of the next one
RESERVED |= {"self"}  # the first parameter of __init__
RESERVED |= {"after", "session", "size", "versions"}  # other parameters of the queries
# Not for a resource, in the plural or the singular: names that it would shadow in a controller, a query or a test, and
# paths and operations that exist.
HIDDEN = {*dir(builtins), *keyword.kwlist}
HIDDEN |= {"caller", "changed", "data", "deleted", "docs", "etag", "health", "limit", "many", "maybe", "metrics", "one"}
HIDDEN |= {"other", "page", "request", "self", "sessions", "unchanged_problem"}
HIDDEN |= {"conflict", "groups", "rows"}  # sqlfluff cannot parse these as names of tables
# Classes that the class of a resource would shadow, besides the types of bodies.
CLASSES = {"Annotated", "Controller", "JSONResponse", "Decimal", "IfMatch", "IfNoneMatch", "NotFound", "PathParameter"}
CLASSES |= {"QueryParameter", "ServiceRequest"}

# Plurals that look like those of words in -y, -x, -ch or -sh.
ADDING_ONLY_S = {"axes", "caches", "calories", "cookies", "movies", "niches", "selfies", "series", "species", "zombies"}


@attrs.frozen
class FieldType:
    """A type of a field: its column in SQL, its types in rows and bodies, imports, and valid and invalid examples."""

    column: str
    row: str
    body: str
    imports: tuple[str, ...]
    examples: tuple[str, str]
    bad: str
    # The constrained type that the name in `body` stands for, and its description.
    rule: str = ""
    note: str = ""


TYPES = {
    "text": FieldType(
        "varchar(255)", "str", "Text", (), ('"Ada"', '"Bea"'), '""',
        "Annotated[str, msgspec.Meta(min_length=1, max_length=255)]", "1 to 255 characters",
    ),
    "integer": FieldType(
        "integer", "int", "Integer", (), ("1", "2"), "2**31",
        "Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]",
    ),
    "bigint": FieldType(
        "bigint", "int", "BigInteger", (), ("1", "2**63 - 1"), "2**63",
        "Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]",
    ),
    "numeric": FieldType(
        "numeric(12, 2)", "Decimal", "Amount", ("from decimal import Decimal",), ('"12.50"', '"-0.05"'), '"1e3"',
        'Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,10}(\\.[0-9]{1,2})?$", examples=["12.50"])]',
        "10 digits and 2 decimal places",
    ),
    "boolean": FieldType("boolean", "bool", "bool", (), ("True", "False"), '"yes"'),
    "date": FieldType(
        "date", "date", "date", ("from datetime import date",), ('"2026-01-31"', '"2028-02-29"'), '"2026-02-29"'
    ),
    "timestamptz": FieldType(
        "timestamptz", "datetime", "Moment", ("from datetime import datetime",),
        ('"2026-01-31T12:00:00Z"', '"2028-02-29T23:59:59.999999Z"'), '"2026-01-31T12:00:00"',
        "Annotated[datetime, msgspec.Meta(tz=True)]",
    ),
    "uuid": FieldType(
        "uuid", "UUID", "UUID", ("from uuid import UUID",),
        ('"00000000-0000-4000-8000-000000000001"', '"00000000-0000-4000-8000-000000000002"'), '"x"',
    ),
}  # fmt: skip


class ScaffoldError(OperatorError):
    """The files cannot be written or removed; nothing was changed."""


@attrs.frozen
class Field:
    """A field of a resource."""

    name: str
    type: str

    @property
    def kind(self) -> FieldType:
        """Its type."""
        return TYPES[self.type]

    @property
    def sample(self) -> str:
        """An example as an SQL literal."""
        return "'" + self.kind.examples[0].strip('"') + "'"


@attrs.frozen
class Resource:
    """A resource: its plural and singular names, its fields, and whether each row belongs to a user."""

    table: str
    singular: str
    fields: tuple[Field, ...]
    owned: bool

    @property
    def path(self) -> str:
        """Its URL path, with hyphens between words."""
        return self.table.replace("_", "-")

    @property
    def thing(self) -> str:
        """Its singular, for prose."""
        return self.singular.replace("_", " ")

    @property
    def things(self) -> str:
        """Its plural, for prose."""
        return self.table.replace("_", " ")

    @property
    def a_thing(self) -> str:
        """Its singular with an article, for prose."""
        return f"{'an' if self.thing[0] in 'aeiou' else 'a'} {self.thing}"


def class_name(name: str) -> str:
    """Return `name` in CamelCase."""
    return name.title().replace("_", "")


def singular_of(plural: str) -> str:
    """Return the singular of a regular English plural, such as categories or boxes; otherwise, remove a final s."""
    last_word = plural.rpartition("_")[2]
    if last_word not in ADDING_ONLY_S:
        if last_word.endswith("ies") and len(last_word) > len("ties"):
            return plural.removesuffix("ies") + "y"
        if last_word.endswith(("sses", "xes", "ches", "shes")):
            return plural.removesuffix("es")
    return plural.removesuffix("s")


def read_resource(name: str, fields: Iterable[str], *, singular: str | None = None, owned: bool = True) -> Resource:
    """Parse arguments such as ``toys toy_name:text pieces:integer``. Raises ScaffoldError."""
    singular = singular or singular_of(name)
    read = []
    for word in fields:
        field, _, kind = word.partition(":")
        if kind not in TYPES:
            raise ScaffoldError(f"{word!r}: a field is written name:type, and the types are {', '.join(TYPES)}")
        read.append(Field(field, kind))
    names = [field.name for field in read]
    for word in (name, singular, *names):
        if not NAME.fullmatch(word):
            raise ScaffoldError(f"{word!r} is not a valid name: use lower-case letters, digits and single '_'")
    # A reserved singular is allowed, because it is only part of a name in SQL: `create_order`, not `order`.
    if taken := sorted(({name, *names} & RESERVED) | ({name, singular} & HIDDEN)):
        raise ScaffoldError(f"{taken[0]!r} is taken by this project, by PostgreSQL or by Python")
    if class_name(singular) in CLASSES | {kind.body for kind in TYPES.values()}:
        raise ScaffoldError(
            f"{class_name(singular)!r} is the name of another class; choose another singular with --singular"
        )
    if singular == name:
        raise ScaffoldError(f"{name!r} must be a plural; otherwise give its singular with --singular")
    if repeated := [each for each in names if names.count(each) > 1]:
        raise ScaffoldError(f"{repeated[0]!r} is given twice")
    sql_names = [name, singular, f"{name}_user_id_fkey", *(f"{name}_{field}_check" for field in names), *names]
    if too_long := [each for each in sql_names if len(each) > MAX_NAME]:
        raise ScaffoldError(
            f"{too_long[0]!r} would be longer than PostgreSQL's {MAX_NAME} bytes: choose a shorter name"
        )
    return Resource(name, singular, tuple(read), owned)
