"""A statement as PostgreSQL describes it: the types of its parameters and columns, and its generic plan."""

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import zip_longest
from typing import Any, LiteralString

import attrs
import psycopg
from pglast import ast
from psycopg import sql

from service.postgres import Statement
from service.sqlcheck.analysis.catalogue import Catalogue
from service.sqlcheck.analysis.json_shape import JsonShape, JsonShapes
from service.sqlcheck.analysis.nested_arrays import levels_below
from service.sqlcheck.analysis.node_tree import Node
from service.sqlcheck.analysis.nullability_inference import NullabilityInference
from service.sqlcheck.analysis.parse_tree import ParsedQuery
from service.sqlcheck.analysis.refusal import RefusedError, raise_if_refused, refused
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.analysis.types import Type, Types

Plan = dict[str, Any]
QUERIES = (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt)
# Their rows are counted, as some are in the database of `dev`. All indexes of such a table cost nearly the same.
SMALL_TABLES = "select relname::text from pg_class where relkind = 'r' and reltuples between 0 and 100"
# The first columns of B-tree indexes: for a condition on another column, PostgreSQL can only read the whole index.
FIRST_COLUMNS = """
    select c.relname::text, quote_ident(a.attname), t.relname::text, i.indpred is null, i.indnkeyatts > 1
    from pg_index as i inner join pg_class as t on t.oid = i.indrelid
    inner join pg_class as c on c.oid = i.indexrelid inner join pg_am as m on m.oid = c.relam
    inner join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where m.amname = 'btree'
"""
# An empty partial index seems to contain no rows, so PostgreSQL prefers it to an index that begins with a known column.
PARTIAL_INDEXES = "select indexrelid::bigint from pg_index where indpred is not null"
# Within a transaction that is rolled back.
HIDE_INDEXES = "update pg_index set indisvalid = false where indexrelid = any (%s)"
INDEX_SCANS = {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
# Nodes that read all their input before they return the first row.
BLOCKING_NODES = {"Sort", "Aggregate", "Hash", "SetOp", "WindowAgg", "ModifyTable"}
BITMAPS = {"BitmapAnd", "BitmapOr", "Bitmap Index Scan"}
MAX_DEPTH = 10_000  # of Python's calls: each operator of `a || b || …` is an operand of the next
EXPLAIN = sql.SQL("explain (generic_plan, verbose, format {}) {}")
# PostgreSQL 15 has no GENERIC_PLAN; there, a prepared statement has a generic plan.
GENERIC_PLAN_SINCE, DISABLED_SINCE = 160000, 180000
PREPARE = sql.SQL("prepare explained as {}")
EXPLAIN_PREPARED = sql.SQL("explain (verbose, format {}) execute explained{}")


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
        columns = connection.execute(FIRST_COLUMNS).fetchall()
        self._first_columns: dict[str, str] = {index: column for index, column, _, _, is_long in columns if is_long}
        self._served = {(table, column) for _, column, table, is_whole, _ in columns if is_whole}
        self._partial_indexes = [oid for (oid,) in connection.execute(PARTIAL_INDEXES)]
        self.types = Types(connection)
        self.catalogue = Catalogue(connection)

    def describe(self, statement: Statement) -> Description:
        """Prepare and plan a statement without running it. Raises RefusedError."""
        pgconn = self._connection.pgconn
        raise_if_refused(pgconn.prepare(b"", statement.sql.encode(), None), statement)
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
        raise_if_refused(self._connection.pgconn.prepare(b"", statement.sql.encode(), None), statement)
        try:
            return "\n".join(line for (line,) in self._explained(statement, "text"))
        except psycopg.Error as error:
            raise refused(error.diag.message_primary or str(error), None, statement) from error

    def _plan(self, statement: Statement) -> Plan:
        """Return the generic plan; without partial indexes if other indexes then serve all scans."""
        plan = self._plan_of_all_indexes(statement)
        if self._partial_indexes and any(full_scans(plan)):
            # Refused: `on conflict` names a partial index.
            with (
                suppress(psycopg.errors.InsufficientPrivilege, RefusedError),
                self._connection.transaction(force_rollback=True),
            ):
                self._connection.execute(HIDE_INDEXES, [self._partial_indexes])
                other = self._plan_of_all_indexes(statement)
                return plan if any(full_scans(other)) else other
        return plan

    def _plan_of_all_indexes(self, statement: Statement) -> Plan:
        try:
            try:
                row = self._explained(statement, "json").fetchone()
            except psycopg.errors.InternalError_:  # VERBOSE cannot print json_arrayagg() below a window function
                row = self._explained(statement, "json, verbose off").fetchone()
        except psycopg.Error as error:  # raised by the planner, which reports no position
            raise refused(error.diag.message_primary or str(error), None, statement) from error
        # A rule can add other statements, such as NOTIFY, or leave none.
        plan: Plan = next((each["Plan"] for each in (row[0] if row else []) if "Plan" in each), {})
        for node, join_filter in _nodes_with_join_filter(plan) if plan else ():
            small = node.get("Relation Name") in self._small_tables
            node["Any Index"] = small or self._index_serves_join(node, join_filter)
            if any(self._reads_whole_index(each, node.get("Alias", "")) for each in _index_scans(node)):
                node["Unserved Cond"] = node.get("Index Cond", node.get("Recheck Cond"))
        if plan and self._connection.info.server_version < DISABLED_SINCE:
            for node in plan_nodes(plan):  # as PostgreSQL 18 marks them itself
                if node["Node Type"] == "Seq Scan":
                    node["Disabled"] = True
        return plan

    def _reads_whole_index(self, node: Plan, alias: str) -> bool:
        """Return whether the condition of an index scan does not limit the first column of the index."""
        column = re.escape(self._first_columns.get(node.get("Index Name", ""), ""))
        named = rf'({re.escape(alias)}"?\.|(?<![\w.])){column}(?!\w)'
        return bool(column and "Index Cond" in node and not re.search(named, node["Index Cond"]))

    def _index_serves_join(self, node: Plan, join_filter: str) -> bool:
        """Return whether an index begins with a column of a scanned table that the join compares.

        On an empty table, PostgreSQL can prefer a scan of the whole index to a lookup for each joined row.
        """
        table, alias = node.get("Relation Name"), re.escape(node.get("Alias", ""))
        columns = re.findall(rf'(?<![\w.])"?{alias}"?\.("[^"]+"|\w+) =|= "?{alias}"?\.("[^"]+"|\w+)\)', join_filter)
        is_alternative = " OR " in join_filter
        return not is_alternative and any((table, first or second) in self._served for first, second in columns)

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


def _nodes_with_join_filter(node: Plan, join_filter: str = "") -> Iterator[tuple[Plan, str]]:
    """Yield the nodes of a plan, each with the conditions of joins by which an index could look up its rows."""
    yield node, join_filter
    passes = node["Node Type"] in {"Nested Loop", "Materialize"}
    own = f"{join_filter} {node.get('Join Filter', '')}"
    for child in node.get("Plans", []):
        side = child.get("Parent Relationship")
        # The rows of the outer side of an outer join do not depend on the other side.
        is_joined = side == "Inner" or (side == "Outer" and node.get("Join Type", "Inner") == "Inner")
        yield from _nodes_with_join_filter(child, own if passes and is_joined else "")


def plan_nodes(plan: Plan) -> Iterator[Plan]:
    """Yield the nodes of a plan, in preorder."""
    yield plan
    for child in plan.get("Plans", []):
        yield from plan_nodes(child)


def full_scans(plan: Plan, *, limited: bool = False) -> Iterator[Plan]:
    """Yield the scans of a whole table or of a whole index.

    :param limited: whether a LIMIT above stops the scan early; not if the rows are sorted, counted or hashed first
    """
    kind = plan.get("Node Type")
    is_served = "Unserved Cond" not in plan and {"Index Cond", "Order By", "Recheck Cond"} & plan.keys()
    whole_index = kind in INDEX_SCANS and not is_served and not plan.get("Any Index")
    is_filtered = {"Unserved Cond", "Filter"} & plan.keys()
    if (kind == "Seq Scan" and plan.get("Disabled")) or (whole_index and (is_filtered or not limited)):
        yield plan
    for child in plan.get("Plans", []):
        is_input = child.get("Parent Relationship") in {"Outer", "Inner", "Member"}
        passes_limit = limited and is_input and kind not in BLOCKING_NODES
        yield from full_scans(child, limited=kind == "Limit" or passes_limit)
