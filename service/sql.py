"""How code names its queries: ``one("pets.create_pet", VersionedPet)`` reads the file and returns a typed query.

sql.pyi, which mypy reads in this file's place, knows each query by its name and each of its parameters by their types,
so that a call with a wrong argument is found before it runs. It is generated: ``python -m service sql stub``.
"""

from typing import TypeVar

from service.queries import Cardinality, Count, Many, Maybe, One, QueryError, Statement, Value, place, read

R = TypeVar("R")


def one(name: str, row: type[R]) -> One[..., R]:
    """Read the query `name` (``"pets.create_pet"``), whose file must declare ``returns: one`` of `row`."""
    return One(_declared(name, Cardinality.ONE, row), row)


def maybe(name: str, row: type[R]) -> Maybe[..., R]:
    """Read the query `name`, whose file must declare ``returns: maybe`` of `row`."""
    return Maybe(_declared(name, Cardinality.MAYBE, row), row)


def many(name: str, row: type[R]) -> Many[..., R]:
    """Read the query `name`, whose file must declare ``returns: many`` of `row`."""
    return Many(_declared(name, Cardinality.MANY, row), row)


def value(name: str, python_type: type[R]) -> Value[..., R]:
    """Read the query `name`, whose file must declare ``returns: value`` of a PostgreSQL type."""
    return Value(_declared(name, Cardinality.VALUE, None), python_type)


def count(name: str) -> Count[...]:
    """Read the query `name`, whose file must declare ``returns: count``."""
    return Count(_declared(name, Cardinality.COUNT, None), int)


def _declared(name: str, cardinality: Cardinality, row: type | None) -> Statement:
    statement = read(name)
    code = f"{cardinality} {row.__name__}" if row else str(cardinality)
    file = f"{statement.cardinality} {statement.row}" if row and statement.row else str(statement.cardinality)
    if code != file:
        raise QueryError(
            f"{place(statement.path, statement.returns_line)}: returns {file!r}, but the code reads {code!r}"
        )
    return statement
