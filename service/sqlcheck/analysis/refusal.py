"""Why PostgreSQL rejects a statement, and on which line of its file."""

import re

from pglast import ast, parse_sql
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

from service.postgres import Statement
from service.sqlcheck.analysis.parse_tree import first_line, walk

# In messages without a position, about writes to generated columns and to views.
QUOTED_COLUMN = re.compile(r'column "(.+?)"')

# Messages about a parameter whose type does not follow from the statement.
UNTYPED = re.compile(
    r"could not determine data type of parameter|\bunknown\b.* is not unique|is not unique: .*\bunknown\b"
)
# Messages about an expression of another type, such as a parameter that another comparison made a text.
MISTYPED = re.compile(r"operator does not exist|column .* is of type .* but expression is of type")


class RefusedError(Exception):
    """PostgreSQL rejects a statement, because of the given line of its file."""

    def __init__(self, sentence: str, line: int) -> None:
        """Store the message and the line."""
        super().__init__(sentence)
        self.line = line


def raise_if_refused(result: PGresult, statement: Statement) -> None:
    """Raise RefusedError unless PostgreSQL has prepared the statement."""
    if result.status == ExecStatus.COMMAND_OK:
        return
    message, hint, position = (
        (result.error_field(field) or b"").decode()
        for field in (
            DiagnosticField.MESSAGE_PRIMARY,
            DiagnosticField.MESSAGE_HINT,
            DiagnosticField.STATEMENT_POSITION,
        )
    )
    similar = f"; p{hint[1:].rstrip('.')}" if hint.startswith("Perhaps you meant") else ""
    raise refused(message, position, statement, similar)


def refused(message: str, position: str | None, statement: Statement, advice: str = "") -> RefusedError:
    """Return PostgreSQL's message with its line; without a position, the line of the column that it names."""
    text = statement.sql
    line = text.count("\n", 0, int(position) - 1) + 1 if position else _line_of_target(message, text)
    if UNTYPED.search(message):
        advice = "; it does not read the header: cast the parameter, such as $1::text[]"
    elif MISTYPED.match(message):
        advice = _cast_advice(message, statement, text.split("\n")[line - 1])
    return RefusedError(f"PostgreSQL says: {message}{advice}", line)


def _cast_advice(message: str, statement: Statement, line: str) -> str:
    """Return which parameter of a line to cast, if a message about it names the parameter's type."""
    for number, parameter in enumerate(statement.parameters, 1):
        is_named = re.search(rf"(?<!\w){re.escape(parameter.type)}(?!\w)", message)
        if is_named and re.search(rf"\${number}(?!\d|::)", line):
            return f"; it does not read the header: write ${number}::{parameter.type}"
    return ""


def _line_of_target(message: str, text: str) -> int:
    """Return the line on which a statement writes the column that a message names; otherwise its first line."""
    if named := QUOTED_COLUMN.search(message):
        for node in walk(parse_sql(text)[0].stmt):
            if isinstance(node, ast.ResTarget) and node.name == named[1]:
                return text.count("\n", 0, node.location) + 1
    return first_line(text)
