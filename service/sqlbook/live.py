"""The files of ``sql/review/``, which psql runs on the live database: their purposes and their columns."""

import shlex
from itertools import takewhile
from pathlib import Path
from typing import Any

import attrs
import psycopg
from psycopg.pq import DiagnosticField, ExecStatus

from service.postgres import FOR_PSQL
from service.sqlcheck import Type, Types


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
