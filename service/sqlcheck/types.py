"""PostgreSQL's types, and the Python types that asyncpg makes of them.

Source: https://magicstack.github.io/asyncpg/current/usage.html#type-conversion
"""

from collections.abc import Mapping
from typing import Any

import attrs
import psycopg
from typing_extensions import override

from service.sqlcheck.row_classes import Annotation

# asyncpg's codecs; json comes as text, because no codec of ours reads it.
PYTHON = {
    "bool": "bool",
    "int2": "int",
    "int4": "int",
    "int8": "int",
    "oid": "int",
    "float4": "float",
    "float8": "float",
    "numeric": "decimal.Decimal",
    "text": "str",
    "varchar": "str",
    "bpchar": "str",
    "name": "str",
    "json": "str",
    "jsonb": "str",
    "xml": "str",
    "macaddr": "str",
    "bytea": "bytes",
    "uuid": "uuid.UUID",
    "date": "datetime.date",
    "time": "datetime.time",
    "timetz": "datetime.time",
    "timestamp": "datetime.datetime",
    "timestamptz": "datetime.datetime",
    "interval": "datetime.timedelta",
    "inet": "ipaddress.IPv4Address | ipaddress.IPv4Interface | ipaddress.IPv6Address | ipaddress.IPv6Interface",
    "cidr": "ipaddress.IPv4Network | ipaddress.IPv6Network",
    "bit": "asyncpg.BitString",
    "varbit": "asyncpg.BitString",
    "point": "asyncpg.Point",
    "line": "asyncpg.Line",
    "lseg": "asyncpg.LineSegment",
    "box": "asyncpg.Box",
    "path": "asyncpg.Path",
    "polygon": "asyncpg.Polygon",
    "circle": "asyncpg.Circle",
}
JSON = {"json", "jsonb"}
# What msgspec makes of the numbers and the texts that PostgreSQL writes into JSON.
NUMBERS = {
    "int": {"int", "float", "decimal.Decimal"},
    "float": {"float", "decimal.Decimal"},
    "decimal.Decimal": {"float", "decimal.Decimal"},
}
AS_TEXT = {"str", "uuid.UUID", "datetime.date", "datetime.datetime", "datetime.time"}
FIRST_OWN_OID = 16384  # what PostgreSQL brings along has a smaller one
BASE, COMPOSITE, RANGE, MULTIRANGE = "b", "c", "r", "m"  # typtype
# They differ in the length that a column allows, which no statement and no parameter knows of.
TEXT = {"text", "varchar", "bpchar"}
SHORT_TYPE_NAMES = {
    "character varying": "varchar",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "time with time zone": "timetz",
    "time without time zone": "time",
}

TYPES = """
    select
        t.oid, format_type(t.oid, null), t.typname::text, t.typbasetype,
        case when t.typcategory = 'A' then t.typelem else 0 end,
        (select array_agg(e.enumlabel::text order by e.enumsortorder) from pg_enum as e where e.enumtypid = t.oid),
        t.typtype, coalesce(r.rngsubtype, m.rngtypid, 0)
    from pg_type as t
    left join pg_range as r on r.rngtypid = t.oid
    left join pg_range as m on m.rngmultitypid = t.oid
"""


@attrs.frozen
class Type:
    """A type of PostgreSQL: `base` under a domain, `element` of an array, `labels` of an enum, `part` of a range."""

    oid: int
    name: str
    base: "Type | None" = None
    element: "Type | None" = None
    labels: tuple[str, ...] | None = None
    internal: str = ""
    kind: str = BASE
    part: "Type | None" = None

    @override
    def __str__(self) -> str:
        """Name it as SQL does, in its short form."""
        name = self.name.removesuffix("[]")
        return SHORT_TYPE_NAMES.get(name, name) + ("[]" if self.element else "")

    @property
    def bare(self) -> "Type":
        """The type below all domains."""
        return self.base.bare if self.base else self

    @property
    def is_naive(self) -> bool:
        """Whether it is a moment without a time zone, or an array of these."""
        return (self.bare.element or self).bare.internal == "timestamp"

    def equivalent(self, other: "Type") -> bool:
        """Tell whether values of both travel alike: domains count as what they are made of, text as varchar."""
        one, two = self.bare, other.bare
        if one.element and two.element:
            return one.element.equivalent(two.element)
        return one.oid == two.oid or {one.internal, two.internal} <= TEXT

    def python(self) -> str | None:
        """Return the full name of what asyncpg makes of it, or None where this module does not know."""
        bare = self.bare
        if bare.element:
            inner = bare.element.python()
            return f"list[{inner}]" if inner else None
        if bare.kind == MULTIRANGE and bare.part:
            return f"list[{bare.part.python()}]"
        if bare.oid >= FIRST_OWN_OID and bare.kind == BASE:
            return "str"  # of an extension: asyncpg has no codec, and takes the text
        kinds = {RANGE: "asyncpg.Range", COMPOSITE: "asyncpg.Record"}
        return "str" if bare.labels else kinds.get(bare.kind) or PYTHON.get(bare.internal)

    def matches(self, annotation: Annotation, *, converted: bool = False) -> bool:
        """Tell whether a field that is annotated so may hold it; None is another question.

        What a converter makes of it is for mypy to say, but for the labels of an enum.
        """
        bare = self.bare
        if bare.labels and annotation.values is not None:
            # asyncpg gives str: a StrEnum becomes one only by attrs' converter, a Literal needs none.
            return set(bare.labels) == set(annotation.values) and (converted or annotation.name == "Literal")
        if converted or annotation.name.replace("asyncpg.types.", "asyncpg.") == self.python():
            return True
        if annotation.of_json:
            return bare.internal in JSON
        return bool(bare.element and annotation.element and bare.element.matches(annotation.element))

    def in_json(self, annotation: Annotation) -> bool:
        """Tell whether msgspec reads a value of this type, once it stands in JSON, as what is annotated so."""
        bare, python = self.bare, self.python()
        if bare.labels and annotation.values is not None:
            return set(bare.labels) == set(annotation.values)
        names = set(annotation.name.split(" | "))
        if python is None or names & {"typing.Any", "object"} or bare.internal in JSON or bare.kind == COMPOSITE:
            return True
        if python in NUMBERS:
            return bool(names & NUMBERS[python])
        if python == "str" and annotation.values is not None:
            return True  # msgspec compares
        return bool(names & ({python} if python == "bool" else {"str", python} & AS_TEXT))


class Types:
    """All types of a database, by oid and by name."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Read pg_type."""
        self._connection = connection
        self._rows: Mapping[int, tuple[Any, ...]] = {row[0]: row for row in connection.execute(TYPES)}
        self._named: dict[str, Type | None] = {}

    def __getitem__(self, oid: int) -> Type:
        """Return the type with this oid."""
        _, name, internal, base, element, labels, kind, part = self._rows[oid]
        return Type(
            oid,
            name,
            self[base] if base else None,
            self[element] if element else None,
            tuple(labels) if labels else None,
            internal,
            kind,
            self[part] if part else None,
        )

    def by_name(self, name: str) -> Type | None:
        """Return the type that SQL knows by this name, or None."""
        if name not in self._named:
            row = self._connection.execute("select to_regtype(%s)::oid", [name]).fetchone()
            self._named[name] = self[row[0]] if row and row[0] else None
        return self._named[name]
