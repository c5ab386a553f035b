"""What psql runs: each query, with an example value for each parameter, and the files of ``sql/review/``."""

import shlex
from itertools import takewhile
from pathlib import Path
from typing import Any

import attrs
import psycopg
from psycopg.pq import DiagnosticField, ExecStatus

from service.postgres import FOR_PSQL, Statement
from service.sqlcheck import MULTIRANGE, RANGE, Description, Type, Types

# Example values by type, which need no quoting in a shell or in psql. For text, the parameter name is the example.
EXAMPLES = {
    "bool": "true",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "date": "today",
    "time": "12:00",
    "timetz": "12:00+00",
    "timestamp": "now",
    "timestamptz": "now",
    "interval": "1day",
    "inet": "127.0.0.1",
    "cidr": "127.0.0.0/24",
    "macaddr": "08:00:2b:01:02:03",
    "json": "{}",
    "jsonb": "{}",
    "point": "0,0",
    "circle": "0,0,1",
    **dict.fromkeys(("line", "lseg", "box", "path", "polygon"), "0,0,1,1"),
}
TEXT_TYPES = {"text", "varchar", "bpchar", "name", "bytea"}


def psql(statement: Statement, description: Description) -> str:
    r"""Return a shell command to run in the checkout; `\bind` needs psql 16 or later."""
    path = shlex.quote("/".join(statement.path.parts[-3:]))
    values = [
        example(parameter.name, inferred)
        for parameter, inferred in zip(statement.parameters, description.parameters, strict=True)
    ]
    bind = "-c " + shlex.quote(" ".join(["\\bind", *values])) + " " if values else ""
    return f'psql "$DATABASE_URL" {bind}-f {path}'


def example(name: str, inferred: Type) -> str:
    """Return an example value of a parameter."""
    bare = inferred.bare
    if bare.element or bare.kind == MULTIRANGE:
        return "{}"
    if bare.kind == RANGE:
        return "empty"
    if bare.labels:
        return "'{}'".format(bare.labels[0].replace("'", "''"))
    return name if bare.internal in TEXT_TYPES else EXAMPLES.get(bare.internal, "1")


@attrs.frozen
class LiveFile:
    """A file of ``sql/review/``; if the scratch database cannot describe its columns, `refused` is the reason."""

    name: str
    text: str
    columns: list[tuple[str, Type]]
    refused: str

    @property
    def purpose(self) -> str:
        """The comment at the start of the file."""
        lines = takewhile(lambda line: line.startswith("-- "), self.text.split("\n"))
        return " ".join(line.removeprefix("-- ").strip() for line in lines)

    @property
    def command(self) -> str:
        """The shell command that runs it, in the checkout."""
        path = f"sql/{self.name.replace('.', '/', 1)}.sql"
        return f'psql "$DATABASE_URL" -f {shlex.quote(path)}'


def live_files(root: Path, connection: psycopg.Connection[Any]) -> list[LiveFile]:
    """Read the files of a checkout; a migrated database describes their columns without running them."""
    types = Types(connection)
    return [
        _described(f"{FOR_PSQL}.{path.stem}", path.read_text("utf-8", "replace"), connection, types)
        for path in sorted((root / "sql" / FOR_PSQL).glob("[!.]*.sql"))
    ]


def _described(name: str, text: str, connection: psycopg.Connection[Any], types: Types) -> LiveFile:
    prepared = connection.pgconn.prepare(b"", text.encode(), None)
    if prepared.status != ExecStatus.COMMAND_OK:
        return LiveFile(name, text, [], (prepared.error_field(DiagnosticField.MESSAGE_PRIMARY) or b"").decode())
    result = connection.pgconn.describe_prepared(b"")
    columns = [((result.fname(index) or b"").decode(), types[result.ftype(index)]) for index in range(result.nfields)]
    return LiveFile(name, text, columns, "")
