"""Example values for the parameters of a query."""

import psycopg
import pytest

from service.sqlbook.psql import example
from service.sqlcheck import Types
from service.sqlcheck.analysis.types import PYTHON

# The embedded server has no XML.
NAMES = [*(name for name in PYTHON if name != "xml"), "tstzrange", "int4multirange", "point[]", "daterange[]"]


@pytest.mark.parametrize("name", NAMES)
def test_example_is_a_value_of_its_type(transaction: psycopg.Connection[object], name: str) -> None:
    found = Types(transaction).by_name(name)

    assert found is not None
    assert transaction.execute(f"select pg_typeof(%s::{name})::oid", [example("id", found)]).fetchone() == (found.oid,)
