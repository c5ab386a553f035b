"""PostgreSQL's types, and the Python types to which asyncpg converts them.

Source: https://magicstack.github.io/asyncpg/current/usage.html#type-conversion
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import attrs
import psycopg
from typing_extensions import override

from service.sqlcheck.analysis.catalogue import FIRST_USER_OID
from service.sqlcheck.row_classes import Annotation

# asyncpg's codecs; json is text, because the service registers no codec for it. A new type is also listed in
# docs/checks.md; what asyncpg accepts beside it, in rules/stub.py; an example for psql, in service/sqlbook/psql.py.
PYTHON = {
    internal: python
    for python, *names in (
        ("bool", "bool"),
        ("int", "int2", "int4", "int8", "oid"),
        ("float", "float4", "float8"),
        ("decimal.Decimal", "numeric"),
        ("str", "text", "varchar", "bpchar", "name", "json", "jsonb", "xml", "macaddr"),
        ("bytes", "bytea"),
        ("uuid.UUID", "uuid"),
        ("datetime.date", "date"),
        ("datetime.time", "time", "timetz"),
        ("datetime.datetime", "timestamp", "timestamptz"),
        ("datetime.timedelta", "interval"),
        (" | ".join(f"ipaddress.IPv{name}" for name in ("4Address", "4Interface", "6Address", "6Interface")), "inet"),
        ("ipaddress.IPv4Network | ipaddress.IPv6Network", "cidr"),
        ("asyncpg.BitString", "bit", "varbit"),
        ("asyncpg.LineSegment", "lseg"),
        *((f"asyncpg.{name}", name.lower()) for name in ("Point", "Line", "Box", "Path", "Polygon", "Circle")),
    )
    for internal in names
}
JSON = {"json", "jsonb"}
# The Python types to which msgspec converts the JSON that PostgreSQL writes; values of other types are texts in it.
IN_JSON = {
    "bool": {"bool"},
    **{name: {"int", "float", "decimal.Decimal"} for name in ("int2", "int4", "int8")},
    **{name: {"float", "decimal.Decimal"} for name in ("float4", "float8", "numeric")},
    **{name: {"str", PYTHON[name]} for name in ("uuid", "date", "time", "timestamp", "timestamptz")},
}
BASE, COMPOSITE, PSEUDO, RANGE, MULTIRANGE = "b", "c", "p", "r", "m"  # typtype
# They differ only in the maximum length, which is a property of a column, not of a value.
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
        t.oid, format_type(t.oid, null), t.typname::text, t.typtype,
        array(select e.enumlabel::text from pg_enum as e where e.enumtypid = t.oid order by e.enumsortorder),
        t.typbasetype, case when t.typcategory = 'A' then t.typelem else 0 end, coalesce(r.rngsubtype, m.rngtypid, 0)
    from pg_type as t
    left join pg_range as r on r.rngtypid = t.oid
    left join pg_range as m on m.rngmultitypid = t.oid
"""
ATTRIBUTES = """
    select a.attname::text, a.attnum, a.atttypid
    from pg_attribute as a inner join pg_type as t on t.typrelid = a.attrelid
    where t.oid = %s and a.attnum > 0 and not a.attisdropped
    order by a.attnum
"""


@attrs.frozen
class Type:
    """A PostgreSQL type: the `base` of a domain, `element` of an array, `labels` of an enum, `subtype` of a range."""

    oid: int
    name: str
    internal: str
    kind: str
    labels: tuple[str, ...] = attrs.field(converter=tuple)
    base: "Type | None"
    element: "Type | None"
    subtype: "Type | None"

    @override
    def __str__(self) -> str:
        """Return its short name in SQL."""
        name = self.name.removesuffix("[]")
        return SHORT_TYPE_NAMES.get(name, name) + ("[]" if self.element else "")

    @property
    def bare(self) -> "Type":
        """The type without domains."""
        return self.base.bare if self.base else self

    @property
    def is_naive(self) -> bool:
        """Whether it is a timestamp without a time zone, or an array or a range of these."""
        inner = self.bare.element or self.bare.subtype
        return inner.is_naive if inner else self.bare.internal == "timestamp"

    def nested(self, levels: int) -> "Type":
        """Return an array's type with lists inside its own, which PostgreSQL does not distinguish; others unchanged."""
        more = levels and self.bare.element
        return attrs.evolve(self, name=f"{self.name}[]", element=self).nested(levels - 1) if more else self

    def equivalent(self, other: "Type") -> bool:
        """Return whether values of both have the same wire format: a domain that of its base, text that of varchar."""
        one, two = self.bare, other.bare
        if one.element and two.element and one.oid != two.oid:
            return one.element.equivalent(two.element)
        return one.oid == two.oid or {one.internal, two.internal} <= TEXT

    def python(self) -> str | None:
        """Return the full name of the Python type to which asyncpg converts it; None if it is unknown."""
        bare = self.bare
        if bare.element:
            inner = bare.element.python()
            return f"list[{inner}]" if inner else None
        if bare.kind in {RANGE, MULTIRANGE} and bare.subtype:
            inner = bare.subtype.python()
            outer = "asyncpg.Range" if bare.kind == RANGE else "list"
            return f"{outer}[{inner}]" if inner else None
        if bare.oid >= FIRST_USER_OID and bare.kind == BASE:
            return "str"  # of an extension: asyncpg has no codec for it, and uses the text
        if bare.kind == COMPOSITE:
            return "asyncpg.Record"
        return "str" if bare.labels else PYTHON.get(bare.internal)

    def matches(self, annotation: Annotation, *, converted: bool = False) -> bool:
        """Return whether a field with this annotation can hold a value of the type; null is checked elsewhere.

        mypy checks the result of a converter, except the labels of an enum.
        """
        bare = self.bare
        if bare.labels and annotation.values is not None:
            # asyncpg returns str: attrs converts it to a StrEnum only by a converter, which a Literal does not need.
            # More values are harmless: a label can be added to the enum after the release that knows it.
            return {*bare.labels} <= {*annotation.values} and (converted or annotation.name == "Literal")
        if converted or annotation.name.replace("asyncpg.types.", "asyncpg.") == self.python():
            return True
        if annotation.has_json_class:
            return bare.internal in JSON
        return bool(bare.element and annotation.element and bare.element.matches(annotation.element))

    def lacking(self, annotation: Annotation) -> str:
        """Return which labels of an enum are no values of a Literal or a StrEnum, as the end of a sentence."""
        values = annotation.values
        missing = [] if values is None else [label for label in self.bare.labels if label not in values]
        return f"; it lacks {', '.join(missing)}" if missing else ""

    def matches_in_json(self, annotation: Annotation) -> bool:
        """Return whether msgspec converts a value of this type in JSON to the annotated type, which is no union."""
        bare, wanted = self.bare, annotation.name
        if bare.labels and annotation.values is not None:
            return {*bare.labels} <= {*annotation.values}
        if wanted in {"typing.Any", "object"} or bare.internal in JSON or bare.kind in {COMPOSITE, PSEUDO}:
            return True
        if bare.element:
            return wanted == "list"
        fitting = IN_JSON.get(bare.internal, {"str"})
        if annotation.values is not None:
            return fitting == {"str"}  # msgspec checks the value
        return wanted in fitting


class Types:
    """All types of a database, by oid and by name."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Read all types."""
        self._connection = connection
        self._rows: Mapping[int, tuple[Any, ...]] = {row[0]: row for row in connection.execute(TYPES)}

    def __getitem__(self, oid: int) -> Type:
        """Return the type with this oid."""
        *itself, base, element, subtype = self._rows[oid]
        return Type(*itself, *(self[each] if each else None for each in (base, element, subtype)))

    @cache  # noqa: B019 - lives as long as the types
    def attributes(self, composite: Type) -> list[tuple[str, int, Type]]:
        """Return the columns of a composite type, which each table has: name, number and type."""
        found = self._connection.execute(ATTRIBUTES, [composite.oid])
        return [(name, number, self[oid]) for name, number, oid in found]

    @cache  # noqa: B019 - the same
    def by_name(self, name: str) -> Type | None:
        """Return the type with this name in SQL; None if there is none."""
        row = self._connection.execute("select to_regtype(%s)::oid", [name]).fetchone()
        return self[row[0]] if row and row[0] else None
