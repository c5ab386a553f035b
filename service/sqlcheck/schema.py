"""The schema as PostgreSQL's catalogue tells it, comments included; what an extension made is left out."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, LiteralString, TypeVar

import attrs
import psycopg

from service.sqlcheck.schema_queries import (
    COLUMNS,
    CONSTRAINTS,
    FUNCTIONS,
    GRANTS,
    INDEXES,
    SEQUENCES,
    TABLES,
    TRIGGERS,
)

P = TypeVar("P")
# The tables that yoyo and `migrate` keep are no part of the schema.
BOOKS = re.compile(r"_?yoyo_\w+|migration_checksum")


@attrs.frozen
class Column:
    """A column of a table, as it would be declared."""

    name: str
    type: str
    not_null: bool
    default: str
    labels: tuple[str, ...] = attrs.field(converter=tuple)
    comment: str

    @property
    def declared(self) -> str:
        """Its declaration, without its name."""
        words = [self.type, "not null" if self.not_null else "", self.default]
        return " ".join(word for word in words if word)


@attrs.frozen
class Constraint:
    """A constraint; of a foreign key also what it refers to, and what a deletion over there does."""

    name: str
    kind: str
    definition: str
    valid: bool
    columns: tuple[str, ...] = attrs.field(converter=tuple)
    comment: str
    refers_to: str
    referred: tuple[str, ...] = attrs.field(converter=tuple)
    on_delete: str


@attrs.frozen
class Index:
    """An index: `columns` in their order; `plain` if it is on columns alone, and on all rows."""

    name: str
    definition: str
    unique: bool
    valid: bool
    plain: bool
    columns: tuple[str, ...] = attrs.field(converter=tuple)
    comment: str

    @property
    def method(self) -> str:
        """What stands behind ``using``: the method, what is indexed, and the condition."""
        return self.definition.partition(" USING ")[2]


@attrs.frozen
class Trigger:
    """A trigger that somebody made, and the signature of its function."""

    name: str
    definition: str
    function: str


@attrs.frozen
class Table:
    """A table or a view; `view` is what the latter is defined as."""

    schema: str
    relation: str
    kind: str
    comment: str
    view: str
    columns: tuple[Column, ...]
    constraints: tuple[Constraint, ...]
    indexes: tuple[Index, ...]
    triggers: tuple[Trigger, ...]

    @property
    def name(self) -> str:
        """Its name as a statement would write it."""
        return qualified(self.schema, self.relation)

    @property
    def foreign_keys(self) -> list[Constraint]:
        """What it refers to."""
        return [each for each in self.constraints if each.kind == "foreign key"]

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of its primary key."""
        return next((each.columns for each in self.constraints if each.kind == "primary key"), ())


@attrs.frozen
class Function:
    """A function: its signature, and what `create or replace` would be told."""

    signature: str
    name: str
    language: str
    volatility: str
    definition: str
    body: str
    comment: str


@attrs.frozen
class Sequence:
    """A sequence, and the column that owns it, if one does."""

    name: str
    table: str
    column: str
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cycles: bool
    comment: str


@attrs.frozen
class Grant:
    """What a role may do with what is not its own."""

    kind: str
    schema: str
    object: str
    role: str
    privileges: str

    @property
    def name(self) -> str:
        """The name of what it is for."""
        return qualified(self.schema, self.object) if self.schema else self.object


@attrs.frozen
class Schema:
    """What the migrations have made, by name."""

    tables: Mapping[str, Table]
    functions: Mapping[str, Function]
    sequences: Mapping[str, Sequence]

    def table(self, name: str, schema: str | None = None) -> Table | None:
        """Return the table that a statement means by `name`, with or without a schema."""
        if schema:
            return self.tables.get(qualified(schema, name))
        return next((table for table in self.tables.values() if table.relation == name), None)

    def named(self, name: str) -> list[Function]:
        """Return the functions of this name, whatever their arguments."""
        return [function for function in self.functions.values() if function.name == name]

    def referring(self, table: Table) -> list[tuple[Table, Constraint]]:
        """Return the foreign keys that lead to a table, with the tables that have them."""
        return [
            (other, key) for other in self.tables.values() for key in other.foreign_keys if key.refers_to == table.name
        ]


def qualified(schema: str, name: str) -> str:
    """Return a name as a statement would write it: ``public`` goes without saying."""
    return name if schema == "public" else f"{schema}.{name}"


def read_schema(connection: psycopg.Connection[Any]) -> Schema:
    """Read the catalogue. Raises psycopg.Error."""
    tables = connection.execute(TABLES).fetchall()
    names = {oid: qualified(schema, relation) for oid, schema, relation, *_ in tables}
    columns = _by_table(connection, COLUMNS, Column)
    constraints = _by_table(connection, CONSTRAINTS, Constraint)
    indexes = _by_table(connection, INDEXES, Index)
    triggers = _by_table(connection, TRIGGERS, Trigger)
    found: dict[str, Table] = {}
    for oid, schema, relation, kind, comment, view in tables:
        keys = tuple(attrs.evolve(each, refers_to=names.get(each.refers_to, "")) for each in constraints[oid])
        found[names[oid]] = Table(
            schema, relation, kind, comment, view, columns[oid], keys, indexes[oid], triggers[oid]
        )
    functions = [Function(*row) for row in connection.execute(FUNCTIONS).fetchall()]
    sequences = [
        Sequence(qualified(schema, name), names.get(owner, ""), *rest)
        for schema, name, owner, *rest in connection.execute(SEQUENCES).fetchall()
    ]
    return Schema(
        found,
        {function.signature: function for function in functions},
        {sequence.name: sequence for sequence in sequences},
    )


def read_grants(connection: psycopg.Connection[Any]) -> list[Grant]:
    """Read what roles were granted in a database. Raises psycopg.Error."""
    return [Grant(*row) for row in connection.execute(GRANTS).fetchall()]


def _by_table(
    connection: psycopg.Connection[Any], query: LiteralString, part: Callable[..., P]
) -> defaultdict[int, tuple[P, ...]]:
    """Return the parts of tables, by the table's oid."""
    found: defaultdict[int, tuple[P, ...]] = defaultdict(tuple)
    for oid, *row in connection.execute(query).fetchall():
        found[oid] += (part(*row),)
    return found
