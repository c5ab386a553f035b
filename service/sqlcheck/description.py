"""What PostgreSQL says of a statement: the types of its parameters and columns, and its generic plan."""

import re
from typing import Any, LiteralString

import attrs
import psycopg
from pglast import ast, parse_sql
from psycopg import sql
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

from service.postgres import Statement
from service.sqlcheck.catalogue import Catalogue
from service.sqlcheck.json_shape import Shape, Shapes
from service.sqlcheck.judge import Judge
from service.sqlcheck.parse_tree import ParsedQuery, first_line, walk
from service.sqlcheck.scope import Scope
from service.sqlcheck.types import Type, Types

Plan = dict[str, Any]
QUERIES = (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt)
EXPLAIN = sql.SQL("explain (generic_plan, verbose, format {}) {}")
# PostgreSQL 15 has no GENERIC_PLAN, but plans without their values what it has prepared.
GENERIC_PLAN_SINCE, DISABLED_SINCE = 160000, 180000
PREPARE = sql.SQL("prepare explained as {}")
EXPLAIN_PREPARED = sql.SQL("explain (verbose, format {}) execute explained{}")
# By name: of several functions with one name, one that is volatile is enough.
VOLATILE = "select distinct proname::text from pg_proc where provolatile = 'v'"
# PostgreSQL names no place where a statement writes a generated column, or one of a view.
WRITTEN = re.compile(r'column "(.+?)"')


class RefusedError(Exception):
    """PostgreSQL refuses a statement; `line` of the file is where."""

    def __init__(self, sentence: str, line: int) -> None:
        """Keep PostgreSQL's sentence."""
        super().__init__(sentence)
        self.line = line


@attrs.frozen
class Column:
    """A column of a result, and the line that it is written on."""

    name: str
    type: Type
    line: int


@attrs.frozen
class Description:
    """A statement as PostgreSQL sees it; without a plan where it is no query."""

    statement: Statement
    parsed: ParsedQuery
    parameters: tuple[Type, ...]
    columns: tuple[Column, ...]
    plan: Plan | None
    # The query as PostgreSQL analyses it, None where it cannot.
    scope: Scope | None
    judge: Judge
    types: Types

    def shape(self, number: int) -> Shape | None:
        """Return what is known of a column (from 1) that is JSON."""
        if self.scope is None or self.scope.query.setOperations or len(self.scope.targets) != len(self.columns):
            return None
        return Shapes(self.judge, self.types).of(self.scope, self.scope.targets[number - 1].expr)


class Describer:
    """Asks PostgreSQL, on one connection, for which sequential scans are what it does where no index serves."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Read the catalogue."""
        self._connection = connection
        connection.execute("set enable_seqscan = off; set plan_cache_mode = force_generic_plan")
        self.types = Types(connection)
        self.catalogue = Catalogue(connection)
        self.volatile = {name for (name,) in connection.execute(VOLATILE)}

    def describe(self, statement: Statement) -> Description:
        """Prepare a statement and plan it; nothing runs. Raises RefusedError."""
        pgconn = self._connection.pgconn
        _accepted(pgconn.prepare(b"", statement.sql.encode(), None), statement)
        result = pgconn.describe_prepared(b"")
        parsed = ParsedQuery.read(statement)
        types = [self.types[result.param_type(index)] for index in range(result.nparams)]
        query = self.catalogue.analyse(statement.sql, [each.name for each in types])
        targets = parsed.targets()
        # `*` stands for several columns: then each is on the statement's first line.
        lines = [parsed.line_of(target) for target in targets]
        if len(lines) != result.nfields:
            lines = [parsed.line] * result.nfields
        return Description(
            statement,
            parsed,
            tuple(types),
            tuple(
                Column((result.fname(index) or b"").decode(), self.types[result.ftype(index)], line)
                for index, line in enumerate(lines)
            ),
            self._plan(statement) if isinstance(parsed.tree, QUERIES) else None,
            Scope(self.catalogue, query) if query else None,
            Judge([parameter.nullable for parameter in statement.parameters]),
            self.types,
        )

    def explain(self, statement: Statement) -> str:
        """Return the generic plan as psql would print it. Raises RefusedError."""
        _accepted(self._connection.pgconn.prepare(b"", statement.sql.encode(), None), statement)
        return "\n".join(line for (line,) in self._explained(statement, "text"))

    def _plan(self, statement: Statement) -> Plan:
        try:
            row = self._explained(statement, "json").fetchone()
        except psycopg.Error as error:  # what only the planner refuses
            raise _refused(error.diag.message_primary, None, statement.sql) from error  # the planner names no place
        plan: Plan = row[0][0]["Plan"] if row else {}
        if self._connection.info.server_version < DISABLED_SINCE:
            _mark_disabled(plan)
        return plan

    def _explained(self, statement: Statement, form: LiteralString) -> psycopg.Cursor[Any]:
        # Without parameters psycopg uses the simple protocol, and only there do `$n` stay what they are.
        execute, text = self._connection.execute, sql.SQL(statement.sql)
        if self._connection.info.server_version >= GENERIC_PLAN_SINCE:
            return execute(EXPLAIN.format(sql.SQL(form), text))
        execute("deallocate all")
        execute(PREPARE.format(text))
        nulls = ", ".join(["null"] * len(statement.parameters))
        return execute(EXPLAIN_PREPARED.format(sql.SQL(form), sql.SQL(f"({nulls})" if nulls else "")))


def _mark_disabled(plan: Plan) -> None:
    """Mark the sequential scans, all of which are disabled, as PostgreSQL 18 does by itself."""
    if plan["Node Type"] == "Seq Scan":
        plan["Disabled"] = True
    for child in plan.get("Plans", []):
        _mark_disabled(child)


def _accepted(result: PGresult, statement: Statement) -> None:
    if result.status == ExecStatus.COMMAND_OK:
        return
    message, position = (
        (result.error_field(field) or b"").decode()
        for field in (DiagnosticField.MESSAGE_PRIMARY, DiagnosticField.STATEMENT_POSITION)
    )
    raise _refused(message, position, statement.sql)


def _refused(message: str | None, position: str | None, text: str) -> RefusedError:
    """Return PostgreSQL's message with its line; if it names no place, that of its column, or the statement's first."""
    line = text.count("\n", 0, int(position) - 1) + 1 if position else _line_of_target(message or "", text)
    return RefusedError(f"PostgreSQL says: {message}", line)


def _line_of_target(message: str, text: str) -> int:
    """Return the line on which a statement writes the column that a message names; its first if there is none."""
    if named := WRITTEN.search(message):
        for node in walk(parse_sql(text)[0].stmt):
            if isinstance(node, ast.ResTarget) and node.name == named[1]:
                return text.count("\n", 0, node.location) + 1
    return first_line(text)
