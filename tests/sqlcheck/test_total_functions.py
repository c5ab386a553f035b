"""The functions listed as null for null arguments only, called with edge values of their types."""

from collections.abc import Iterator
from itertools import islice, product

import pytest

from service.sqlcheck.analysis.catalogue import Catalogue
from service.sqlcheck.scratch import connect
from tests.support.checkouts import Connection

pytestmark = pytest.mark.slow  # calls each of them with all combinations

EDGES = {
    "boolean": ["true", "false"],
    "smallint": ["0", "-1", "32767"],
    "integer": ["0", "-1", "2147483647"],
    "bigint": ["0", "-1", "9223372036854775807"],
    "numeric": ["0", "-1.5", "NaN", "Infinity", "-Infinity"],
    "real": ["0", "-1.5", "NaN", "Infinity"],
    "double precision": ["0", "-1.5", "NaN", "-Infinity"],
    "text": ["", "a", "ä b", "%_\\\\", "UTF8", "base64", "year", "NFC", "Europe/Berlin", "9"],
    "character varying": ["", "a b"],
    "character": ["", "a"],
    "name": ["", "UTF8"],
    "bytea": ["", "\\\\x00ff"],
    "date": ["2020-02-29", "infinity", "-infinity"],
    "timestamp without time zone": ["2020-02-29", "infinity", "-infinity"],
    "timestamp with time zone": ["2020-02-29", "infinity", "-infinity"],
    "time without time zone": ["00:00", "24:00"],
    "interval": ["0", "-1 day", "infinity"],
    "jsonb": ["null", "{}", "[]", '{"a": null}', "[null]", "1"],
    "json": ["null", "{}", "[]"],
    "uuid": ["00000000-0000-0000-0000-000000000000"],
    "inet": ["0.0.0.0/0", "::1"],
    "cidr": ["0.0.0.0/0"],
    "text[]": ["{}", "{null}", "{a,b}"],
    "integer[]": ["{}", "{null}"],
    "anyarray": ["{}", "{null}", "{1}"],
    "anyelement": ["1"],
    "anynonarray": ["1"],
    "anycompatible": ["1"],
    "anycompatiblearray": ["{}", "{null}"],
    "anyrange": ["empty", "(,)", "[1,2)"],
    "anymultirange": ["{}", "{(,)}"],
    "tsvector": ["", "a:1"],
    "tsquery": ["", "a"],
    "point": ["(0,0)"],
    "path": ["[(0,0)]", "((0,0),(1,1))"],
    "box": ["(0,0),(1,1)", "(2,2),(3,3)"],
    "circle": ["<(0,0),0>"],
    "bit": ["0"],
    "money": ["0", "-1"],
    "oid": ["0"],
}
AS = {
    "anyarray": "integer[]",
    "anyelement": "integer",
    "anynonarray": "integer",
    "anycompatible": "integer",
    "anycompatiblearray": "integer[]",
    "anyrange": "int4range",
    "anymultirange": "int4multirange",
    "bit": "bit(1)",
}
CALLS = 20  # maximum for each function
# An error is not a null.
IS_NULL = """
    create function pg_temp.is_null(call text) returns boolean language plpgsql as $$
    declare found boolean;
    begin
        execute 'select ' || call || ' is null' into found;
        return found;
    exception when others then
        return false;
    end $$
"""
ARGUMENTS = """
    select p.oid, quote_ident(p.proname), array(select format_type(each, null) from unnest(p.proargtypes) as each)
    from pg_proc as p where p.oid = any (%s) and not p.proretset and p.prokind = 'f'
"""


def edges(kind: str) -> list[str]:
    """Return the values of a type as SQL."""
    return [f"'{value}'::{AS.get(kind, kind)}" for value in EDGES[kind]]


@pytest.fixture(scope="module")
def connection(module_database_url: str) -> Iterator[Connection]:
    """Return a connection for the calls."""
    with connect(module_database_url) as connection:
        connection.execute(IS_NULL)
        yield connection


def test_listed_functions_return_no_null_for_values(connection: Connection) -> None:
    catalogue = Catalogue(connection)
    listed = sorted(
        catalogue.total_functions
        | {oid for oid in catalogue.never_null_functions if catalogue.functions[oid].arguments}
    )
    calls = [
        f"pg_catalog.{name}({', '.join(arguments)})"
        for _, name, types in connection.execute(ARGUMENTS, [listed]).fetchall()
        if all(each in EDGES for each in types)
        for arguments in islice(product(*map(edges, types)), CALLS)
    ]

    found = connection.execute("select call from unnest(%s::text[]) as call where pg_temp.is_null(call)", [calls])

    assert len(calls) > 3000
    assert [call for (call,) in found] == []
