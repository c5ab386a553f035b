"""How code names its queries: ``one("pets.create_pet", VersionedPet)`` reads the file and returns a typed query."""

from typing import TypeVar

from service.postgres import queries
from service.postgres.queries import Cardinality, Count, Many, Maybe, One, Value

R = TypeVar("R")


def one(name: str, row: type[R]) -> One[..., R]:
    """Read the query `name` (``"pets.create_pet"``), whose file must declare ``returns: one`` of `row`."""
    return One(queries.declared(name, Cardinality.ONE, row), row)


def maybe(name: str, row: type[R]) -> Maybe[..., R]:
    """Read the query `name`, whose file must declare ``returns: maybe`` of `row`."""
    return Maybe(queries.declared(name, Cardinality.MAYBE, row), row)


def many(name: str, row: type[R]) -> Many[..., R]:
    """Read the query `name`, whose file must declare ``returns: many`` of `row`."""
    return Many(queries.declared(name, Cardinality.MANY, row), row)


def value(name: str, python_type: type[R]) -> Value[..., R]:
    """Read the query `name`, whose file must declare ``returns: value`` of a PostgreSQL type."""
    return Value(queries.declared(name, Cardinality.VALUE, None), python_type)


def count(name: str) -> Count[...]:
    """Read the query `name`, whose file must declare ``returns: count``."""
    return Count(queries.declared(name, Cardinality.COUNT, None), int)
