"""Typed queries: ``one("pets.create_pet", VersionedPet)`` reads the query's file and returns a handle to run it by."""

import os
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

from service.postgres.json_columns import row_factory
from service.postgres.query_file import SQL, Cardinality, QueryError, Statement, error_at, read_query

P = ParamSpec("P")
R = TypeVar("R")
# An environment variable, so that the processes that `dev` starts see it before they import anything.
ACCEPT_BROKEN_FILES_VARIABLE = "_ACCEPT_BROKEN_QUERY_FILES"


class Query(Generic[P, R]):
    """A statement and the factory of its row objects; a subclass for each cardinality."""

    def __init__(self, statement: Statement, row: Callable[..., R]) -> None:
        self.statement = statement
        self.row = row
        # Copied from the statement, because each request reads them.
        self.name, self.sql = statement.name, statement.sql
        self.checks_session, self.replica_ok = statement.checks_session, bool(statement.replica)


class One(Query[P, R]):
    """Returns exactly one row."""


class Maybe(Query[P, R]):
    """Returns one row or none."""


class Many(Query[P, R]):
    """Returns any number of rows."""


class Value(Query[P, R]):
    """Returns one row of one column."""


class Count(Query[P, int]):
    """Returns the number of rows that it inserted, updated or deleted."""


def one(name: str, row: type[R]) -> One[..., R]:
    """Read the query `name` (``"pets.create_pet"``), whose file must declare ``returns: one`` of `row`."""
    return One(_load(name, Cardinality.ONE, row), row_factory(name, row))


def maybe(name: str, row: type[R]) -> Maybe[..., R]:
    """Read the query `name`, whose file must declare ``returns: maybe`` of `row`."""
    return Maybe(_load(name, Cardinality.MAYBE, row), row_factory(name, row))


def many(name: str, row: type[R]) -> Many[..., R]:
    """Read the query `name`, whose file must declare ``returns: many`` of `row`."""
    return Many(_load(name, Cardinality.MANY, row), row_factory(name, row))


def value(name: str, python_type: type[R]) -> Value[..., R]:
    """Read the query `name`, whose file must declare ``returns: value`` of a PostgreSQL type."""
    return Value(_load(name, Cardinality.VALUE, None), python_type)


def count(name: str) -> Count[...]:
    """Read the query `name`, whose file must declare ``returns: count``."""
    return Count(_load(name, Cardinality.COUNT, None), int)


def accept_broken_files() -> None:
    """In this process and its children, replace the statement of a broken file by an empty one.

    The `purpose` of the empty statement is the error message. `dev` can then start with broken files, and reports an
    error when a request needs one of them.
    """
    os.environ[ACCEPT_BROKEN_FILES_VARIABLE] = "yes"


def _load(name: str, cardinality: Cardinality, row: type | None) -> Statement:
    """Read the file of the query `name`, which must declare this cardinality and row.

    Raises QueryError if the file is missing or malformed, or declares another result.
    """
    try:
        statement = read_query(name)
        code = f"{cardinality} {row.__name__}" if row else str(cardinality)
        if code != statement.returns:
            message = f"returns {statement.returns!r}, but the code reads {code!r}"
            raise error_at(statement.path, statement.returns_line, message)
    except QueryError as error:
        if ACCEPT_BROKEN_FILES_VARIABLE not in os.environ:
            raise
        path = SQL / f"{name.replace('.', '/')}.sql"
        return Statement(name, path, str(error), (), cardinality, row=None, row_nullable=False, returns_line=1, sql="")
    return statement
