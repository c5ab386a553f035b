"""SQL files for one test, read like the service's own."""

from pathlib import Path
from typing import Any

import psycopg

from service.postgres.query_file import Statement, read_query
from service.sqlcheck.analysis.types import Type, Types
from tests.support.api import PARAMETERS

# A value of each type; those of arrays, enums and domains are derived.
VALUES = {
    "bigint": "1",
    "boolean": "true",
    "bytea": "\\x00",
    "date": "2020-02-29",
    "cidr": "127.0.0.1/32",
    "double precision": "0.5",
    "inet": "127.0.0.1",
    "integer": "1",
    "interval": "1 day",
    "json": "[]",
    "jsonb": "[]",
    "numeric": "12.50",
    "real": "0.5",
    "smallint": "1",
    "text": "it",
    "time": "12:00",
    "timestamp": "2020-02-29 12:00:00",
    "timestamptz": "2020-02-29 12:00:00+01",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "varchar": "it",
}


def values_for(statement: Statement, connection: psycopg.Connection[Any]) -> list[str]:
    """Return a value for each parameter of a query, as text. The types of the database at `connection` are known."""
    types = Types(connection)
    return [
        PARAMETERS.get(f"{statement.name}.{each.name}") or _value(types.by_name(each.type), each.type)
        for each in statement.parameters
    ]


def _value(declared: Type | None, name: str) -> str:
    bare = declared and declared.bare
    if bare and bare.labels:
        return bare.labels[0]
    if bare and bare.element:
        return f'{{"{_value(bare.element, name)}"}}'
    assert str(bare) in VALUES, f"add a value of the type {name} to VALUES in tests/support/statements.py"
    return VALUES[str(bare)]


class Statements:
    """Writes SQL files into a folder and reads them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __call__(self, returns: str, sql: str, *parameters: str) -> Statement:
        """Return `sql`, completed with name and semicolon, as a file that declares `returns` and `parameters`."""
        self._count += 1
        name = "tests.query" + "_again" * (self._count - 1)
        first_word, _, rest = sql.partition(" ")
        path = self._folder / f"{name.replace('.', '/')}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            "\n".join(
                [
                    f"-- {name}: serves one test",
                    *(f"-- ${number} {parameter}" for number, parameter in enumerate(parameters, start=1)),
                    f"-- returns: {returns}",
                    f"{first_word} /* {name} */ {rest};\n",
                ]
            )
        )
        return read_query(name, self._folder)
