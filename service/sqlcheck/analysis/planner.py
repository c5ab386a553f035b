"""Generic plans, in which a sequential scan or a scan of a whole index shows that no index serves."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from service.postgres import Statement
from service.sqlcheck.analysis.refusal import RefusedError, raise_if_refused

Plan = dict[str, Any]
# On empty tables, PostgreSQL would hash a table that an index could serve.
SETTINGS = """
    set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off;
    set plan_cache_mode = force_generic_plan
"""
# With these, more plans lose to one in which indexes serve: on an empty table, PostgreSQL can prefer a hashed EXISTS or
# a scan of a whole index, and an empty partial index seems to contain no rows.
COSTLY_SCANS = """
    set local seq_page_cost = 1e9; set local cpu_tuple_cost = 1e6; set local cpu_index_tuple_cost = 1e6;
    set local enable_material = off
"""
HIDDEN_PARTIAL_INDEXES = "update pg_index set indisvalid = false where indpred is not null and indisvalid"
# Their rows are counted, as some are in the database of `dev`. All indexes of such a table cost nearly the same.
SMALL_TABLES = "select relname::text from pg_class where relkind = 'r' and reltuples between 0 and 100"
# The first columns of B-tree indexes: for a condition on another column, PostgreSQL can only read the whole index.
FIRST_COLUMNS = """
    select c.relname::text, quote_ident(a.attname)
    from pg_index as i inner join pg_class as c on c.oid = i.indexrelid inner join pg_am as m on m.oid = c.relam
    inner join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indnkeyatts > 1 and m.amname = 'btree'
"""
# PostgreSQL checks the condition of a partial index again if it locks the row.
PREDICATES = """
    select c.relname::text, pg_get_expr(i.indpred, i.indrelid)
    from pg_index as i inner join pg_class as c on c.oid = i.indexrelid where i.indpred is not null
"""
INDEX_SCANS = {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
BITMAPS = {"BitmapAnd", "BitmapOr", "Bitmap Index Scan"}
JOIN_CONDITIONS = ("Join Filter", "Hash Cond", "Merge Cond")
# The sides of outer joins of which each row is returned, so no index for the join condition spares reading them.
WHOLE_SIDES = {"Left": {"Outer"}, "Right": {"Inner"}, "Full": {"Outer", "Inner"}}
# Nodes that read all their input before they return the first row.
BLOCKING_NODES = {"Sort", "Aggregate", "Hash", "SetOp", "WindowAgg", "ModifyTable"}
EXPLAIN = sql.SQL("explain (generic_plan, verbose, format {}) {}")
# PostgreSQL 15 has no GENERIC_PLAN; there, a prepared statement has a generic plan.
GENERIC_PLAN_SINCE, DISABLED_SINCE = 160000, 180000
PREPARE = sql.SQL("prepare explained as {}")
EXPLAIN_PREPARED = sql.SQL("explain (verbose, format {}) execute explained{}")


class Planner:
    """Plans statements on one connection, with a sequential scan only if no index serves."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Configure PostgreSQL's planner."""
        self._connection = connection
        connection.execute(SETTINGS)
        self._small_tables = {name for (name,) in connection.execute(SMALL_TABLES)}
        self._first_columns: dict[str, str] = dict(connection.execute(FIRST_COLUMNS).fetchall())
        self._predicates: dict[str, str] = dict(connection.execute(PREDICATES).fetchall())

    def explain(self, statement: Statement) -> str:
        """Return the generic plan as psql would print it. Raises RefusedError."""
        raise_if_refused(self._connection.pgconn.prepare(b"", statement.sql.encode(), None), statement)
        try:
            return "\n".join(line for (line,) in self._explained(statement, "text"))
        except psycopg.Error as error:
            raise RefusedError(error, statement) from error

    def plan(self, statement: Statement) -> Plan:
        """Return the generic plan with the fewest full scans; empty if a rule drops the statement.

        Raises RefusedError.
        """
        plan = self._plan(statement)
        for settings in ([COSTLY_SCANS], [COSTLY_SCANS, HIDDEN_PARTIAL_INDEXES]):
            if any(full_scans(plan)):
                plan = min(
                    plan, self._plan_with(settings, statement) or plan, key=lambda each: len([*full_scans(each)])
                )
        return plan

    def _plan_with(self, settings: Sequence[LiteralString], statement: Statement) -> Plan | None:
        """Return the plan with other settings; None if hiding indexes is not permitted, or `on conflict` needs one."""
        with (
            suppress(psycopg.errors.InsufficientPrivilege, RefusedError),
            self._connection.transaction(force_rollback=True),
        ):
            for setting in settings:
                self._connection.execute(setting)
            return self._plan(statement)
        return None

    def _plan(self, statement: Statement) -> Plan:
        try:
            try:
                row = self._explained(statement, "json").fetchone()
            except psycopg.errors.InternalError_:  # VERBOSE cannot print json_arrayagg() below a window function
                row = self._explained(statement, "json, verbose off").fetchone()
        except psycopg.Error as error:
            raise RefusedError(error, statement) from error
        # A rule can add other statements, such as NOTIFY, or leave none.
        plan: Plan = next((each["Plan"] for each in (row[0] if row else []) if "Plan" in each), {})
        for node in plan_nodes(plan) if plan else ():
            node["Any Index"] = node.get("Relation Name") in self._small_tables
            if any(self._reads_whole_index(each, node.get("Alias", "")) for each in _index_scans(node)):
                node["Unserved Cond"] = node.get("Index Cond", node.get("Recheck Cond"))
            if self._has_predicate(node):
                del node["Filter"]
            if node["Node Type"] == "Seq Scan" and self._connection.info.server_version < DISABLED_SINCE:
                node["Disabled"] = True  # as PostgreSQL 18 marks them itself
        return plan

    def _reads_whole_index(self, node: Plan, alias: str) -> bool:
        """Return whether the condition of an index scan does not limit the first column of the index."""
        column = re.escape(self._first_columns.get(node.get("Index Name", ""), ""))
        named = rf'({re.escape(alias)}"?\.|(?<![\w.])){column}(?!\w)'
        return bool(column and "Index Cond" in node and not re.search(named, node["Index Cond"]))

    def _has_predicate(self, node: Plan) -> bool:
        """Return whether the filter of a scan is only the condition of its partial index."""
        unqualified = re.sub(rf'(?<!\w)"?{re.escape(node.get("Alias", ""))}"?\.', "", node.get("Filter", ""))
        return bool(unqualified) and unqualified == self._predicates.get(node.get("Index Name", ""))

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


def full_scans(plan: Plan, *, limited: bool = False, join: str = "") -> Iterator[tuple[Plan, str]]:
    """Yield the scans of a whole table or of a whole index, except PostgreSQL's own, each with the join around it.

    :param limited: whether a LIMIT or EXISTS above stops the scan early; not if the rows are sorted, counted or hashed
        first
    """
    kind = plan.get("Node Type")
    is_served = "Unserved Cond" not in plan and {"Index Cond", "Order By", "Recheck Cond"} & plan.keys()
    whole_index = kind in INDEX_SCANS and not is_served and not plan.get("Any Index")
    is_filtered = {"Unserved Cond", "Filter"} & plan.keys()
    is_full = (kind == "Seq Scan" and plan.get("Disabled")) or (whole_index and (is_filtered or not limited))
    if is_full and plan.get("Schema") != "pg_catalog":
        yield plan, join
    own = next((plan[each] for each in JOIN_CONDITIONS if each in plan), join)
    whole_sides = WHOLE_SIDES.get(plan.get("Join Type", ""), set())
    for child in plan.get("Plans", []):
        side = child.get("Parent Relationship")
        is_limited = kind == "Limit" or (
            limited and side in {"Outer", "Inner", "Member"} and kind not in BLOCKING_NODES
        )
        if child.get("Subplan Name", "").startswith("InitPlan"):  # EXISTS, ARRAY, or a query that is used as a value
            is_limited = "Output" not in child  # only EXISTS has none, and reads one row
        yield from full_scans(child, limited=is_limited, join=join if side in whole_sides else own)
