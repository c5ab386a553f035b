"""A statement as PostgreSQL describes it: the types of its parameters and columns, and its generic plan."""

import re
import sys
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, LiteralString

import attrs
import psycopg
from pglast import ast, parse_sql
from psycopg import sql
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

from service.postgres import Statement
from service.sqlcheck.analysis.catalogue import Catalogue
from service.sqlcheck.analysis.json_shape import JsonShape, JsonShapes
from service.sqlcheck.analysis.nested_arrays import levels_below
from service.sqlcheck.analysis.node_tree import Node
from service.sqlcheck.analysis.nullability_inference import NullabilityInference
from service.sqlcheck.analysis.parse_tree import ParsedQuery, first_line, walk
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.analysis.types import Type, Types

Plan = dict[str, Any]
QUERIES = (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt)
# Their rows are counted, as some are in the database of `dev`. All indexes of such a table cost nearly the same.
SMALL_TABLES = "select relname::text from pg_class where relkind = 'r' and reltuples between 0 and 100"
# The first columns of B-tree indexes: for a condition on another column, PostgreSQL can only read the whole index.
FIRST_COLUMNS = """
    select c.relname::text, quote_ident(a.attname) from pg_index as i
    inner join pg_class as c on c.oid = i.indexrelid inner join pg_am as m on m.oid = c.relam
    inner join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where m.amname = 'btree' and i.indnkeyatts > 1
"""
BITMAPS = {"BitmapAnd", "BitmapOr", "Bitmap Index Scan"}
MAX_DEPTH = 10_000  # of Python's calls: each operator of `a || b || …` is an operand of the next
EXPLAIN = sql.SQL("explain (generic_plan, verbose, format {}) {}")
# PostgreSQL 15 has no GENERIC_PLAN; there, a prepared statement has a generic plan.
GENERIC_PLAN_SINCE, DISABLED_SINCE = 160000, 180000
PREPARE = sql.SQL("prepare explained as {}")
EXPLAIN_PREPARED = sql.SQL("explain (verbose, format {}) execute explained{}")
# In messages without a position, about writes to generated columns and to views.
QUOTED_COLUMN = re.compile(r'column "(.+?)"')

# Messages about a parameter whose type does not follow from the statement.
UNTYPED = re.compile(
    r"could not determine data type of parameter|\bunknown\b.* is not unique|is not unique: .*\bunknown\b"
)


class RefusedError(Exception):
    """PostgreSQL rejects a statement, because of the given line of its file."""

    def __init__(self, sentence: str, line: int) -> None:
        """Store the message and the line."""
        super().__init__(sentence)
        self.line = line


@attrs.frozen
class Column:
    """A column of a result, and the line of its expression."""

    name: str
    type: Type
    line: int


@attrs.frozen
class Description:
    """A statement as PostgreSQL describes it; `plan` is None if it is not a query, and empty if a rule drops it."""

    statement: Statement
    parsed: ParsedQuery
    parameters: tuple[Type, ...]
    columns: tuple[Column, ...]
    plan: Plan | None
    # The analysed query; None if it cannot be the body of a function, in which PostgreSQL analyses it.
    scope: Scope | None
    nullability: NullabilityInference
    types: Types

    def expression(self, number: int) -> Node | None:
        """Return the analysed expression of a result column (from 1); None if it is unknown, or a set operation."""
        if self.scope is None or self.scope.query.setOperations or len(self.scope.targets) != len(self.columns):
            return None
        found: Node = self.scope.targets[number - 1].expr
        return found

    def json_shape(self, number: int) -> JsonShape | None:
        """Return the shape of the JSON in a result column (from 1); None if the column's expression is unknown."""
        expression = self.expression(number)
        if self.scope is None or expression is None:
            return None
        return JsonShapes(self.nullability, self.types).shape_of(self.scope, expression)


class Describer:
    """Describes statements on one connection, on which a sequential scan is planned only if no index serves.

    Joins are nested loops if possible: on empty tables, PostgreSQL would hash a table that an index could serve.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Configure the planner, and read the types and the catalogue."""
        sys.setrecursionlimit(max(sys.getrecursionlimit(), MAX_DEPTH))
        self._connection = connection
        connection.execute("set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off")
        connection.execute("set plan_cache_mode = force_generic_plan")
        self._small_tables = {name for (name,) in connection.execute(SMALL_TABLES)}
        self._first_columns: dict[str, str] = dict(connection.execute(FIRST_COLUMNS).fetchall())
        self.types = Types(connection)
        self.catalogue = Catalogue(connection)

    def describe(self, statement: Statement) -> Description:
        """Prepare and plan a statement without running it. Raises RefusedError."""
        pgconn = self._connection.pgconn
        _raise_if_refused(pgconn.prepare(b"", statement.sql.encode(), None), statement)
        result = pgconn.describe_prepared(b"")
        parsed = ParsedQuery.read(statement)
        types = [self.types[result.param_type(index)] for index in range(result.nparams)]
        query = self.catalogue.analyse(statement.sql, [each.name for each in types])
        scope = Scope(self.catalogue, query) if query else None
        levels = [levels_below(scope, target.expr) for target in scope.targets] if scope else []
        targets = parsed.targets()
        # With `*`, there are fewer targets than columns: each column is on the first line.
        lines = [parsed.line_of(target) for target in targets]
        if len(lines) != result.nfields:
            lines = [parsed.line] * result.nfields
        return Description(
            statement,
            parsed,
            tuple(types),
            tuple(
                Column((result.fname(index) or b"").decode(), self.types[result.ftype(index)].nested(nested), line)
                for index, (line, nested) in enumerate(zip_longest(lines, levels, fillvalue=0))
            ),
            self._plan(statement) if isinstance(parsed.tree, QUERIES) else None,
            scope,
            NullabilityInference([parameter.nullable for parameter in statement.parameters]),
            self.types,
        )

    def explain(self, statement: Statement) -> str:
        """Return the generic plan as psql would print it. Raises RefusedError."""
        _raise_if_refused(self._connection.pgconn.prepare(b"", statement.sql.encode(), None), statement)
        try:
            return "\n".join(line for (line,) in self._explained(statement, "text"))
        except psycopg.Error as error:
            raise _refused(error.diag.message_primary or str(error), None, statement.sql) from error

    def _plan(self, statement: Statement) -> Plan:
        try:
            plan = self._json_plan(statement)
            subplans = [node for node in plan_nodes(plan) if node.get("Parent Relationship") == "SubPlan"]
            if any(node["Node Type"] == "Seq Scan" for each in subplans for node in plan_nodes(each)):
                with self._connection.transaction():  # only the cost decides whether EXISTS is hashed
                    self._connection.execute("set local seq_page_cost = 1e9")
                    plan = self._json_plan(statement)
        except psycopg.Error as error:  # raised by the planner, which reports no position
            raise _refused(error.diag.message_primary or str(error), None, statement.sql) from error
        for node in plan_nodes(plan) if plan else ():
            node["Any Index"] = node.get("Relation Name") in self._small_tables
            if any(self._reads_whole_index(each, node.get("Alias", "")) for each in _index_scans(node)):
                node["Unserved Cond"] = node.get("Index Cond", node.get("Recheck Cond"))
        if plan and self._connection.info.server_version < DISABLED_SINCE:
            for node in plan_nodes(plan):  # as PostgreSQL 18 marks them itself
                if node["Node Type"] == "Seq Scan":
                    node["Disabled"] = True
        return plan

    def _json_plan(self, statement: Statement) -> Plan:
        try:
            row = self._explained(statement, "json").fetchone()
        except psycopg.errors.InternalError_:  # VERBOSE cannot print json_arrayagg() below a window function
            row = self._explained(statement, "json, verbose off").fetchone()
        # A rule can add other statements, such as NOTIFY, or leave none.
        return next((each["Plan"] for each in (row[0] if row else []) if "Plan" in each), {})

    def _reads_whole_index(self, node: Plan, alias: str) -> bool:
        """Return whether the condition of an index scan does not limit the first column of the index."""
        column = re.escape(self._first_columns.get(node.get("Index Name", ""), ""))
        named = rf'({re.escape(alias)}"?\.|(?<![\w.])){column}(?!\w)'
        return bool(column and "Index Cond" in node and not re.search(named, node["Index Cond"]))

    def _explained(self, statement: Statement, form: LiteralString) -> psycopg.Cursor[Any]:
        # Without parameters, psycopg uses the simple protocol, which leaves `$n` unchanged.
        execute, text = self._connection.execute, sql.SQL(statement.sql)
        if self._connection.info.server_version >= GENERIC_PLAN_SINCE:
            return execute(EXPLAIN.format(sql.SQL(form), text))
        execute("deallocate all")
        execute(PREPARE.format(text))
        nulls = ", ".join(["null"] * len(statement.parameters))
        return execute(EXPLAIN_PREPARED.format(sql.SQL(form), sql.SQL(f"({nulls})" if nulls else "")))


def _index_scans(node: Plan) -> Iterator[Plan]:
    """Yield the scan of a table, and the scans of indexes of which a bitmap heap scan consists."""
    yield node
    for child in node.get("Plans", []):
        if child["Node Type"] in BITMAPS:
            yield from _index_scans(child)


def plan_nodes(plan: Plan) -> Iterator[Plan]:
    """Yield the nodes of a plan, in preorder."""
    yield plan
    for child in plan.get("Plans", []):
        yield from plan_nodes(child)


def _raise_if_refused(result: PGresult, statement: Statement) -> None:
    if result.status == ExecStatus.COMMAND_OK:
        return
    message, position = (
        (result.error_field(field) or b"").decode()
        for field in (DiagnosticField.MESSAGE_PRIMARY, DiagnosticField.STATEMENT_POSITION)
    )
    raise _refused(message, position, statement.sql)


def _refused(message: str, position: str | None, text: str) -> RefusedError:
    """Return PostgreSQL's message with its line; without a position, the line of the column that it names."""
    line = text.count("\n", 0, int(position) - 1) + 1 if position else _line_of_target(message, text)
    advice = "; it does not read the header: cast the parameter, such as $1::text[]" if UNTYPED.search(message) else ""
    return RefusedError(f"PostgreSQL says: {message}{advice}", line)


def _line_of_target(message: str, text: str) -> int:
    """Return the line on which a statement writes the column that a message names; otherwise its first line."""
    if named := QUOTED_COLUMN.search(message):
        for node in walk(parse_sql(text)[0].stmt):
            if isinstance(node, ast.ResTarget) and node.name == named[1]:
                return text.count("\n", 0, node.location) + 1
    return first_line(text)
