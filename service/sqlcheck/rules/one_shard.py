"""Queries on distributed tables: each names one user, so that Citus runs it on a single shard."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

import psycopg
from pglast import ast
from pglast.enums import SetOperation

from service.sqlcheck.analysis.parse_tree import Node, ParsedQuery, target_name, targets, walk
from service.sqlcheck.findings import Finding, finding_at, unless_accepted

# The distribution column in sql/citus.sql.
DISTRIBUTED_BY = re.compile(r"create_distributed_table\(\s*[^,()]+,\s*'(?P<column>\w+)'")
# Tables whose primary key begins with the column, which sql/citus.sql distributes, and views with the column.
TABLES = """
    select relname::text
    from pg_class
    inner join pg_attribute on attrelid = pg_class.oid and attname = %(column)s
    left join pg_index on indrelid = pg_class.oid and indisprimary and indkey[0] = attnum
    where relnamespace = 'public'::regnamespace and (relkind = 'v' or indrelid is not null)
"""
Column = tuple[str, str]


def distribution_column(sql: Path) -> str | None:
    """Return the column by which ``citus.sql`` in the folder `sql` distributes tables; None without such a file."""
    path = sql / "citus.sql"
    found = DISTRIBUTED_BY.search(path.read_text(encoding="utf-8")) if path.exists() else None
    return found["column"] if found else None


def distributed_tables(connection: psycopg.Connection[object], column: str) -> Collection[str]:
    """Return the tables that are distributed by `column`, and the views with it."""
    return {str(row[0]) for row in connection.execute(TABLES, {"column": column}).fetchall()}  # type: ignore[index]  # the rows are tuples


def check_one_shard(parsed: ParsedQuery, column: str, tables: Collection[str]) -> Iterator[Finding]:
    """Find the distributed `tables` whose `column` a query does not bind to a parameter.

    Citus routes a query to one shard only if every CTE and subquery equates the column with a parameter.
    """
    yield from unless_accepted(parsed.statement, "one-shard", _on_all_shards(parsed, column, tables))


def _on_all_shards(parsed: ParsedQuery, column: str, tables: Collection[str]) -> Iterator[Finding]:
    for node in _insert_sources(parsed):
        if node.relname in tables:
            sentence = (
                f"the insert selects directly from {node.relname}, which can run on every shard: use a materialized CTE"
            )
            yield finding_at(parsed.statement, parsed.line_of(node), sentence, "one-shard")
    for node in QueryPart(parsed.tree, column).unbound(tables):
        sentence = f"{node.relname}.{column} equals no parameter in this part of the query, so it runs on every shard"
        yield finding_at(parsed.statement, parsed.line_of(node), sentence, "one-shard")


def _insert_sources(parsed: ParsedQuery) -> Iterator[Node]:
    """Yield the tables and views from which an insert selects.

    Citus runs such a select in steps. It tries to route a CTE to one shard, but not a view that joins two tables.
    """
    for node in parsed.nodes:
        if is_a(node, ast.InsertStmt):
            inside = walk(getattr(node.selectStmt, "fromClause", None) or ())
            yield from (each for each in inside if is_a(each, ast.RangeVar))


class QueryPart:
    """A query, CTE or subquery, and its columns that equal a parameter."""

    def __init__(self, query: Node, column: str, cte_columns: Collection[Column] = ()) -> None:
        self._query = query
        self._column = column
        self._tables: dict[str, Node] = {}
        self._parts: list[QueryPart] = []
        self._equal: list[tuple[Node, Node]] = []
        self._bound: set[Column] = set()
        # Columns of CTEs that equal a parameter: they bind no other table, but a row with such a value is on one shard.
        self._cte_columns = set(cte_columns)
        clause = getattr(query, "withClause", None)
        for cte in clause.ctes if clause else ():
            self._cte_columns |= self._bound_targets(cte.ctename, cte.ctequery)
        if is_a(query, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt):
            self._add(query.relation)
        if is_a(query, ast.MergeStmt):
            self._add(query.sourceRelation)
            self._add_equalities(query.joinCondition, {*self._tables})
        if is_a(query, ast.SelectStmt) and query.op != SetOperation.SETOP_NONE:
            self._parts += [QueryPart(arm, column, self._cte_columns) for arm in (query.larg, query.rarg)]
        for item in getattr(query, "fromClause", None) or getattr(query, "usingClause", None) or ():
            self._add(item)
        self._add_equalities(getattr(query, "whereClause", None), {*self._tables})
        for _ in self._equal[:]:  # each pass can bind one more column
            self._bound |= {self._name(one) for one, other in self._equal if self._is_bound(other)}
        for node in walk((getattr(query, "whereClause", None), getattr(query, "targetList", None))):
            if is_a(node, ast.SubLink):
                self._parts.append(QueryPart(node.subselect, column, self._cte_columns))

    def unbound(self, tables: Collection[str]) -> Iterator[Node]:
        """Yield the `tables` that are not bound to a parameter, in this part and in its subqueries."""
        for name, node in self._tables.items():
            if getattr(node, "relname", None) in tables and (name, self._column) not in self._bound:
                yield node
        if is_a(self._query, ast.InsertStmt):
            rows = QueryPart(self._query.selectStmt, self._column, self._cte_columns)
            yield from rows.unbound(tables)
            if self._query.relation.relname in tables and not rows.fixes_shard(self._query.cols):
                yield self._query.relation
        for part in self._parts:
            yield from part.unbound(tables)

    def fixes_shard(self, columns: Collection[Node] | None) -> bool:
        """Return whether all rows have the same distribution value if they are inserted into `columns`."""
        rows = getattr(self._query, "valuesLists", None)
        values = rows[0] if rows else [target.val for target in targets(self._query)]
        pairs = zip(columns or (), values, strict=False)
        return any(each.name == self._column and self._is_known(value) for each, value in pairs)

    def _bound_targets(self, name: str, query: Node) -> set[Column]:
        part = QueryPart(query, self._column, self._cte_columns)
        self._parts.append(part)
        return {(name, target_name(target)) for target in targets(query) if part._is_known(target.val)}

    def _add(self, item: Node) -> None:
        """Add an item of the FROM clause."""
        if is_a(item, ast.JoinExpr):
            self._add(item.larg)
            left = {*self._tables}
            self._add(item.rarg)
            right = {*self._tables} - left
            # The condition of an outer join does not bind the preserved side.
            sides = {"JOIN_INNER": left | right, "JOIN_LEFT": right, "JOIN_RIGHT": left}
            self._add_equalities(item.quals, sides.get(item.jointype.name, set()))
            return
        if is_a(item, ast.RangeTableSample):
            item = item.relation
        name = item.alias.aliasname if item.alias else getattr(item, "relname", "")
        self._tables[name] = item
        if is_a(item, ast.RangeSubselect):
            self._cte_columns |= self._bound_targets(name, item.subquery)
        elif is_a(item, ast.RangeVar):
            self._cte_columns |= {(name, column) for cte, column in self._cte_columns if cte == item.relname}

    def _add_equalities(self, condition: Node, bound: Collection[str]) -> None:
        """Add the equalities of a conjunction on columns of the tables `bound`."""
        if is_a(condition, ast.BoolExpr) and condition.boolop.name == "AND_EXPR":
            for part in condition.args:
                self._add_equalities(part, bound)
        elif is_a(condition, ast.A_Expr) and condition.kind.name == "AEXPR_OP" and condition.name[-1].sval == "=":
            for one, other in ((condition.lexpr, condition.rexpr), (condition.rexpr, condition.lexpr)):
                if is_a(one, ast.ColumnRef) and self._name(one)[0] in bound:
                    self._equal.append((one, other))

    def _name(self, column: Node) -> Column:
        names = [field.sval for field in column.fields if is_a(field, ast.String)]
        return (names[-2] if len(names) > 1 else next(iter(self._tables), ""), names[-1] if names else "*")

    def _is_bound(self, value: Node) -> bool:
        return is_a(value, ast.ParamRef) or (is_a(value, ast.ColumnRef) and self._name(value) in self._bound)

    def _is_known(self, value: Node) -> bool:
        return self._is_bound(value) or (is_a(value, ast.ColumnRef) and self._name(value) in self._cte_columns)


def is_a(node: Node, *kinds: type[ast.Node]) -> bool:
    """Return whether a node is of one of the `kinds`; unlike isinstance(), this does not narrow its type for mypy."""
    return isinstance(node, kinds)
