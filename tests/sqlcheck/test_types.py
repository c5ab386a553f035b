"""The Python types that can hold each PostgreSQL type."""

import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
import pytest

from service.sqlcheck.analysis.types import PYTHON, Types
from service.sqlcheck.code import Code
from service.sqlcheck.row_classes import Annotation
from tests.support.processes import ROOT

MODELS = """
import asyncpg
import datetime
import uuid as ids
from asyncpg import Range
from datetime import datetime as moment
from decimal import Decimal
from enum import Enum, StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Annotated, ClassVar, Literal, NewType, Optional
from msgspec import Struct
from elsewhere import *

class Mood(StrEnum):
    GOOD = "good"
    BAD = "bad"

class Other(StrEnum):
    GOOD = "good"

class Plain(Enum):
    GOOD = "good"

KiteId = NewType("KiteId", int)
Kites = list[int]
Address = IPv4Address | IPv4Interface | IPv6Address | IPv6Interface
Made = made()

class Thing(Struct):
    size: int

class Row:
    kept: ClassVar[int] = 1
    field: {annotation}
"""
DOMAINS = """
    create type mood as enum ('good', 'bad');
    create domain positive as integer check (value > 0);
    create domain very_positive as positive check (value > 9);
    create schema app;
    create type app.level as enum ('low', 'high');
    create type "Level" as enum ('low', 'high');
    create type app.pair as (one integer, two text);
    create domain app.stay as daterange check (not isempty(value));
    -- A base type, as of an extension.
    create type odd;
    create function odd_in(cstring) returns odd language internal immutable strict as 'textin';
    create function odd_out(odd) returns cstring language internal immutable strict as 'textout';
    create type odd (input = odd_in, output = odd_out)
"""

KINDS = {
    **{kind.__name__: kind for kind in (bool, int, float, str, bytes, list)},
    **{f"datetime.{kind.__name__}": kind for kind in (dt.date, dt.time, dt.datetime, dt.timedelta)},
    "decimal.Decimal": Decimal,
    "uuid.UUID": UUID,
}


@pytest.fixture(scope="module")
def types(module_database_url: str) -> Iterator[Types]:
    """Return the types of a database that has an enum and two domains."""
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        connection.execute(DOMAINS)
        yield Types(connection)


def annotation(folder: Path, text: str) -> Annotation:
    """Read an annotation from a module of a service."""
    (folder / "service").mkdir()
    (folder / "service" / "models.py").write_text(MODELS.replace("{annotation}", text))
    (folder / "service" / "queries.py").write_text(
        "from service.models import Row\nfrom service.sql import one\none('a.b', Row)"
    )
    [reference] = Code(folder).references
    [field] = reference.row.fields  # type: ignore[union-attr]  # a Row
    return field.annotation


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bigint", "int"),
        ("bigint", "KiteId"),
        ("bigint", "Annotated[int, 'of a kite']"),
        ("bigint", "'int'"),
        ("bigint", "Optional[int]"),
        ("bool", "bool"),
        ("numeric", "Decimal"),
        ("double precision", "float"),
        ("jsonb", "str"),
        ("bytea", "bytes"),
        ("uuid", "ids.UUID"),
        ("date", "datetime.date"),
        ("timestamptz", "moment"),
        ("timestamptz", "moment | None"),
        ("interval", "datetime.timedelta"),
        ("inet", "Address"),
        ("integer[]", "Kites"),
        ("timestamptz[]", "list[moment]"),
        ("mood", "str"),
        ("mood", "Literal['good', 'bad']"),
        ("mood[]", "list[Literal['good', 'bad']]"),
        ("jsonb", "Thing"),
        ("json", "list[Thing] | None"),
        ("very_positive", "int"),
        ("int4range", "asyncpg.Range[int]"),
        ("tstzrange", "asyncpg.types.Range[moment]"),
        ("int4multirange", "list[Range[int]]"),
        ("app.stay", "Range[datetime.date]"),
        ("bit varying", "asyncpg.types.BitString"),
        ("point[]", "list[asyncpg.Point]"),
        ("app.pair", "asyncpg.Record"),
        ("odd", "str"),
        ("app.level", "Literal['low', 'high']"),
        ("timestamp with time zone", "moment"),
    ],
)
def test_matching_types_are_accepted(types: Types, tmp_path: Path, name: str, text: str) -> None:
    found = types.by_name(name)

    assert found is not None
    assert found.matches(annotation(tmp_path, text))


def test_every_type_is_listed(types: Types) -> None:
    text = (ROOT / "docs/checks.md").read_text(encoding="utf-8")
    table = text.partition("| PostgreSQL | Python |\n|---|---|\n")[2].partition("\n\n")[0]
    named = [name for row in table.split("\n") for name in re.findall(r"`([^`]+)`", row.split("|")[1])]
    listed = {found.internal for name in named if "(" not in name and (found := types.by_name(name))}

    assert PYTHON.keys() - listed == set(), "add these to the table of types in docs/checks.md"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bigint", "str"),
        ("bigint", "Made"),
        ("bigint", "Plain"),
        ("bigint", "Nowhere"),
        ("bigint", "int | str"),
        ("bigint", "(lambda: int)()"),
        ("numeric", "float"),
        ("date", "moment"),
        ("integer[]", "list[str]"),
        ("integer[]", "int"),
        ("mood", "Other"),
        ("mood", "Mood"),
        ("mood", "Literal['good']"),
        ("mood[]", "list[Literal['good']]"),
        ("mood[]", "list[Mood]"),
        ("text", "Thing"),
        ("jsonb", "list[str]"),
        ("point", "str"),
        ("point[]", "list[str]"),
        ("int4range", "tuple"),
        ("int4range", "Range"),
        ("tstzrange", "Range[datetime.date]"),
        ("app.pair", "tuple"),
        ("tsvector", "str"),
    ],
)
def test_other_types_are_rejected(types: Types, tmp_path: Path, name: str, text: str) -> None:
    found = types.by_name(name)

    assert found is not None
    assert not found.matches(annotation(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "text", "fits"),
    [("mood", "Mood", True), ("mood", "Other", False), ("app.pair", "Row", True), ("jsonb", "list[Row]", True)],
)
def test_converter_to_enum_needs_its_labels(types: Types, tmp_path: Path, name: str, text: str, *, fits: bool) -> None:
    found = types.by_name(name)

    assert found is not None
    assert found.matches(annotation(tmp_path, text), converted=True) is fits


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("text", "varchar", True),
        ("varchar[]", "text[]", True),
        ("positive", "integer", True),
        ("positive", "very_positive", True),
        ("integer", "bigint", False),
        ("integer", "integer[]", False),
        ("mood", "text", False),
    ],
)
def test_types_with_one_wire_format_are_equal(types: Types, one: str, other: str, *, same: bool) -> None:
    first, second = types.by_name(one), types.by_name(other)

    assert first is not None
    assert second is not None
    assert first.equivalent(second) is same


@pytest.mark.parametrize(
    ("text", "name"),
    [("moment | None", "datetime | None"), ("list[ids.UUID]", "list[UUID]"), ("dict[str, Thing]", "dict[str, Thing]")],
)
def test_annotations_are_named_as_in_python(tmp_path: Path, text: str, name: str) -> None:
    assert str(annotation(tmp_path, text)) == name


@pytest.mark.parametrize(
    "name", ["timestamptz", "varchar[]", "integer", "mood", "double precision", "app.level[]", '"Level"[]']
)
def test_types_are_named_as_in_sql(types: Types, name: str) -> None:
    assert str(types.by_name(name)) == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bool", "true"),
        ("smallint", "1"),
        ("oid", "1"),
        ("real", "0.5"),
        ("numeric", "1.50"),
        ("money", "1"),
        ("text", "it"),
        ("bytea", "it"),
        ("uuid", "0f6ee0b2-6ad8-4d3f-a5f3-4a3b7c0e4a6e"),
        ("date", "2026-01-31"),
        ("time", "12:00"),
        ("timetz", "12:00+02"),
        ("timestamptz", "2026-01-31 12:00+02"),
        ("interval", "1 day"),
        ("inet", "127.0.0.1"),
        ("tsvector", "it"),
        ("int4range", "[1,2)"),
        ("mood", "good"),
        ("very_positive", "10"),
        ("integer[]", "{1}"),
        ("odd", "it"),
    ],
)
def test_accepted_types_in_json_are_decoded(types: Types, module_database_url: str, name: str, value: str) -> None:
    found = types.by_name(name)
    assert found is not None
    with psycopg.connect(module_database_url) as connection:
        [[written]] = connection.execute(f"select to_jsonb(%s::{name})::text", [value])

    accepted = [kind for text, kind in KINDS.items() if found.matches_in_json(Annotation(text))]

    assert accepted
    for kind in accepted:
        msgspec.json.decode(written, type=kind)
