"""A schema as read from PostgreSQL's catalogue, with comments; objects of extensions are left out."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, LiteralString, TypeVar

import attrs
import psycopg
from pglast.keywords import COL_NAME_KEYWORDS, RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS

from service.sqlcheck.migrations import schema_queries as queries

P = TypeVar("P")
# The tables of yoyo and `migrate` are not part of the schema.
BOOKKEEPING_TABLES = re.compile(r"_?yoyo_\w+|migration_checksum")
KEYWORDS = RESERVED_KEYWORDS | TYPE_FUNC_NAME_KEYWORDS | COL_NAME_KEYWORDS
PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
QUALIFIED = re.compile(r'(?:("(?:[^"]|"")+"|[^".(]+)\.)?("(?:[^"]|"")+"|[^".(]+)')


@attrs.frozen
class Column:
    """A column of a table, as it is declared; its type includes its collation."""

    name: str
    type: str
    not_null: bool
    default: str
    labels: tuple[str, ...] = attrs.field(converter=tuple)
    comment: str

    @property
    def declared(self) -> str:
        """The declaration without the name: with the comment, all that `difference` compares."""
        words = [self.type, "not null" if self.not_null else "", self.default]
        return " ".join(word for word in words if word)


@attrs.frozen
class Constraint:
    """A constraint; a foreign key also has the referenced table and columns, and the ON DELETE action, if any."""

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
    """An index with its key columns in order; `plain` without expressions and condition."""

    name: str
    definition: str
    unique: bool
    valid: bool
    plain: bool
    columns: tuple[str, ...] = attrs.field(converter=tuple)
    comment: str

    @property
    def method(self) -> str:
        """The definition after ``using``: the method, the columns and the condition."""
        return self.definition.partition(" USING ")[2]

    @property
    def declared(self) -> str:
        """The declaration without the name."""
        return f"{'unique ' if self.unique else ''}{self.method}{'' if self.valid else ', invalid'}"


@attrs.frozen
class Trigger:
    """A user-defined trigger or event trigger, and the signature of its function; or a rule, which has none."""

    kind: str
    name: str
    definition: str
    function: str
    comment: str


@attrs.frozen
class Policy:
    """A policy of row level security."""

    name: str
    definition: str
    comment: str


@attrs.frozen
class Table:
    """A table, or a view with its definition in `view`.

    `options` are its parents, bounds and key of partitions, foreign server, row level security, storage parameters and
    replica identity.
    """

    schema: str
    relation: str
    kind: str
    comment: str
    view: str
    options: str
    columns: tuple[Column, ...]
    constraints: tuple[Constraint, ...]
    indexes: tuple[Index, ...]
    triggers: tuple[Trigger, ...]
    policies: tuple[Policy, ...]

    @property
    def name(self) -> str:
        """The name as in a statement."""
        return qualified(self.schema, self.relation)

    @property
    def foreign_keys(self) -> list[Constraint]:
        """The foreign keys of the table."""
        return [each for each in self.constraints if each.kind == "foreign key"]

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of the primary key."""
        return next((each.columns for each in self.constraints if each.kind == "primary key"), ())


@attrs.frozen
class UserDefinedType:
    """A domain, an enum, a range or a composite type."""

    kind: str
    name: str
    definition: str
    comment: str


@attrs.frozen
class Function:
    """A function: its signature, and its definition as `create or replace` takes it."""

    signature: str
    name: str
    language: str
    volatility: str
    definition: str
    body: str
    comment: str


@attrs.frozen
class Sequence:
    """A sequence, and the column that owns it, if any; `identity` if it is that of an identity column."""

    name: str
    table: str
    column: str
    identity: bool
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cycles: bool
    comment: str


@attrs.frozen
class Grant:
    """The privileges of a role on an object that it does not own."""

    kind: str
    name: str
    role: str
    privileges: str


@attrs.frozen
class Schema:
    """Tables, functions, sequences and types by name, and event triggers."""

    tables: Mapping[str, Table]
    functions: Mapping[str, Function]
    sequences: Mapping[str, Sequence]
    types: Mapping[str, UserDefinedType]
    event_triggers: tuple[Trigger, ...]

    def table(self, name: str, schema: str | None) -> Table | None:
        """Return the table to which a name in a statement refers, with or without a schema."""
        if schema:
            return self.tables.get(qualified(schema, name))
        return next((table for table in self.tables.values() if table.relation == name), None)

    def named(self, name: str) -> list[Function]:
        """Return the functions with this name, with any arguments."""
        return [function for function in self.functions.values() if function.name == name]

    def referring(self, table: Table) -> list[tuple[Table, Constraint]]:
        """Return the foreign keys that reference a table, with their tables."""
        return [
            (other, key) for other in self.tables.values() for key in other.foreign_keys if key.refers_to == table.name
        ]


def qualified(schema: str, name: str) -> str:
    """Return a name as in a statement, with quotes if it needs them; ``public`` is omitted."""
    return _quoted(name) if schema == "public" else f"{_quoted(schema)}.{_quoted(name)}"


def schema_and_name(qualified_name: str) -> tuple[str, str]:
    """Return the parts of a name as `qualified` returns it, or of a function's signature, without quotes."""
    found = QUALIFIED.match(qualified_name)
    schema, name = found.groups() if found else (None, qualified_name)
    return _unquoted(schema or "public"), _unquoted(name)


def _quoted(name: str) -> str:
    """Quote a name if PostgreSQL's quote_ident does."""
    is_plain = PLAIN.fullmatch(name) and name not in KEYWORDS
    return name if is_plain else '"{}"'.format(name.replace('"', '""'))


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def read_schema(connection: psycopg.Connection[Any]) -> Schema:
    """Read the catalogue. Raises psycopg.Error."""
    tables = connection.execute(queries.TABLES).fetchall()
    names = {oid: qualified(schema, relation) for oid, schema, relation, *_ in tables}
    columns = _by_table(connection, queries.COLUMNS, Column)
    constraints = _by_table(connection, queries.CONSTRAINTS, Constraint)
    indexes = _by_table(connection, queries.INDEXES, Index)
    triggers = _by_table(connection, queries.TRIGGERS, Trigger)
    policies = _by_table(connection, queries.POLICIES, Policy)
    found: dict[str, Table] = {}
    for oid, schema, relation, kind, comment, view, options in tables:
        keys = tuple(attrs.evolve(each, refers_to=names.get(each.refers_to, "")) for each in constraints[oid])
        parts = columns[oid], keys, indexes[oid], triggers[oid], policies[oid]
        found[names[oid]] = Table(schema, relation, kind, comment, view, options, *parts)
    functions = [Function(*row) for row in connection.execute(queries.FUNCTIONS).fetchall()]
    sequences = [
        Sequence(qualified(schema, name), names.get(owner, ""), *rest)
        for schema, name, owner, *rest in connection.execute(queries.SEQUENCES).fetchall()
    ]
    types = [UserDefinedType(*row) for row in connection.execute(queries.TYPES).fetchall()]
    return Schema(
        found,
        {function.signature: function for function in functions},
        {sequence.name: sequence for sequence in sequences},
        {each.name: each for each in types},
        triggers[0],
    )


def read_grants(connection: psycopg.Connection[Any]) -> list[Grant]:
    """Read the privileges granted in a database. Raises psycopg.Error."""
    return [Grant(*row) for row in connection.execute(queries.GRANTS).fetchall()]


def _by_table(
    connection: psycopg.Connection[Any], query: LiteralString, part: Callable[..., P]
) -> defaultdict[int, tuple[P, ...]]:
    """Return the rows of a query as parts of tables, by the table's oid."""
    found: defaultdict[int, tuple[P, ...]] = defaultdict(tuple)
    for oid, *row in connection.execute(query).fetchall():
        found[oid] += (part(*row),)
    return found
