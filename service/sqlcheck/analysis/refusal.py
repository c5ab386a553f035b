"""Why PostgreSQL rejects a statement, and on which line of its file."""

import re

import psycopg
from pglast import ast, parse_sql
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from service.postgres import Statement
from service.sqlcheck.analysis.parse_tree import first_line, walk_parsed
from service.sqlcheck.findings import finding_at

# In messages without a position, about writes to generated columns and to views.
QUOTED_COLUMN = re.compile(r'column "(.+?)"')

# Messages about a parameter whose type does not follow from the statement, or differs between its places.
UNTYPED = re.compile(
    r"could not determine data type of parameter|inconsistent types deduced for parameter"
    r"|\bunknown\b.* is not unique|is not unique: .*\bunknown\b"
)
# Messages about an expression of another type, such as a parameter that another comparison made a text.
MISTYPED = re.compile(r"operator does not exist|column .* is of type .* but expression is of type")


class RefusedError(Exception):
    """PostgreSQL rejects a statement."""

    def __init__(self, error: psycopg.Error, statement: Statement) -> None:
        """Make PostgreSQL's message a finding; without a position, on the line of the column that it names."""
        message, hint = error.diag.message_primary or str(error), error.diag.message_hint or ""
        text, position = statement.sql, error.diag.statement_position
        line = text.count("\n", 0, int(position) - 1) + 1 if position else _line_of_target(message, text)
        advice = f"; p{hint[1:].rstrip('.')}" if hint.startswith("Perhaps you meant") else ""
        if UNTYPED.search(message) or MISTYPED.match(message):
            advice = _cast_advice(message, statement, text.split("\n")[line - 1])
        self.finding = finding_at(statement, line, f"PostgreSQL says: {message}{advice}", "refused")
        super().__init__(str(self.finding))


def raise_if_refused(result: PGresult, statement: Statement) -> None:
    """Raise RefusedError unless PostgreSQL has prepared the statement."""
    if result.status != ExecStatus.COMMAND_OK:
        raise RefusedError(error_from_result(result), statement)


def _cast_advice(message: str, statement: Statement, line: str) -> str:
    """Return which parameter to cast: the one that a message names, or the one on its line that has the type it names.

    If it names an unknown type or text, as which PostgreSQL reads an unknown one, the only parameter on the line.
    """
    parameters = dict(enumerate(statement.parameters, 1))
    uncast = {int(each) for each in re.findall(r"\$(\d+)(?!\d|::)", line)} & parameters.keys()
    named = {int(each) for each in re.findall(r"parameter \$(\d+)", message)} & parameters.keys()
    typed = {each for each in uncast if re.search(rf"(?<!\w){re.escape(parameters[each].type)}(?!\w)", message)}
    if len(uncast) > 1 or not re.search(r"\b(unknown|text)\b", message):
        uncast = set()
    if found := named or typed or uncast:
        return f"; it does not read the header: write ${min(found)}::{parameters[min(found)].type}"
    is_untyped = UNTYPED.search(message)
    return "; it does not read the header: cast the parameter, such as $1::text[]" if is_untyped else ""


def _line_of_target(message: str, text: str) -> int:
    """Return the line on which a statement writes the column that a message names; otherwise its first line."""
    if named := QUOTED_COLUMN.search(message):
        for node in walk_parsed(parse_sql(text)[0].stmt):
            if isinstance(node, ast.ResTarget) and node.name == named[1]:
                return text.count("\n", 0, node.location) + 1
    return first_line(text)
