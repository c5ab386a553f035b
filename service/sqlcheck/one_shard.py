"""Queries on what belongs to users name one user, so that a database distributed by user asks a single shard."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

import psycopg
from pglast import ast
from pglast.enums import SetOperation

from service.sqlcheck.findings import Finding, finding_at, unless_accepted
from service.sqlcheck.parse_tree import Node, ParsedQuery, target_name, targets, walk

# In sql/citus.sql: the column that it distributes by.
DISTRIBUTED_BY = re.compile(r"create_distributed_table\(\s*[^,()]+,\s*'(?P<column>\w+)'")
# Tables whose primary key begins with the column, as sql/citus.sql selects them, and views that show it.
TABLES = """
    select relname::text
    from pg_class
    inner join pg_attribute on attrelid = pg_class.oid and attname = %(column)s
    left join pg_index on indrelid = pg_class.oid and indisprimary and indkey[0] = attnum
    where relnamespace = 'public'::regnamespace and (relkind = 'v' or indrelid is not null)
"""
Column = tuple[str, str]


def distribution(sql: Path) -> str | None:
    """Return the column by which ``citus.sql`` in the folder `sql` distributes tables; None without such a file."""
    path = sql / "citus.sql"
    found = DISTRIBUTED_BY.search(path.read_text(encoding="utf-8")) if path.exists() else None
    return found["column"] if found else None


def distributed_tables(connection: psycopg.Connection[object], column: str) -> Collection[str]:
    """Return the tables that are distributed by `column`, and the views on them."""
    return {str(row[0]) for row in connection.execute(TABLES, {"column": column}).fetchall()}  # type: ignore[index]  # rows are tuples


def check_one_shard(parsed: ParsedQuery, column: str, tables: Collection[str]) -> Iterator[Finding]:
    """Find the distributed `tables` whose `column` a query does not bind to a parameter.

    Citus sends a query to one shard only if every part of it (each CTE and subquery) says which, by an equality with a
    parameter within that part.
    """
    yield from unless_accepted(parsed.statement, "one-shard", _on_all_shards(parsed, column, tables))


def _on_all_shards(parsed: ParsedQuery, column: str, tables: Collection[str]) -> Iterator[Finding]:
    for node in _insert_sources(parsed):
        if node.relname in tables:
            sentence = (
                f"the insert selects from {node.relname} itself, which can ask every shard: use a materialized CTE"
            )
            yield finding_at(parsed.statement, parsed.line_of(node), sentence, "one-shard")
    for node in Part(parsed.tree, column).unbound(tables):
        sentence = f"{node.relname}.{column} equals no parameter in this part of the query: it asks every shard"
        yield finding_at(parsed.statement, parsed.line_of(node), sentence, "one-shard")


def _insert_sources(parsed: ParsedQuery) -> Iterator[Node]:
    """Yield the tables and views that an insert selects from.

    Citus runs such a select in steps. It tries to send a CTE to one shard first, which it does not do with a view in
    place of it that joins two tables.
    """
    for node in parsed.nodes:
        if is_a(node, ast.InsertStmt):
            inside = walk(getattr(node.selectStmt, "fromClause", None) or ())
            yield from (each for each in inside if is_a(each, ast.RangeVar))


class Part:
    """A query or a part of one, and the columns in it that equal a parameter."""

    def __init__(self, query: Node, column: str, of_ctes: Collection[Column] = ()) -> None:
        self._query = query
        self._column = column
        self._tables: dict[str, Node] = {}
        self._parts: list[Part] = []
        self._equal: list[tuple[Node, Node]] = []
        self._bound: set[Column] = set()
        # Columns of CTEs that equal a parameter: they bind no other table, but a row with such a value has one shard.
        self._of_ctes = set(of_ctes)
        clause = getattr(query, "withClause", None)
        for cte in clause.ctes if clause else ():
            self._of_ctes |= self._bound_targets(cte.ctename, cte.ctequery)
        if is_a(query, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt):
            self._add(query.relation)
        if is_a(query, ast.MergeStmt):
            self._add(query.sourceRelation)
            self._require(query.joinCondition, {*self._tables})
        if is_a(query, ast.SelectStmt) and query.op != SetOperation.SETOP_NONE:
            self._parts += [Part(query.larg, column, self._of_ctes), Part(query.rarg, column, self._of_ctes)]
        for item in getattr(query, "fromClause", None) or getattr(query, "usingClause", None) or ():
            self._add(item)
        self._require(getattr(query, "whereClause", None), {*self._tables})
        for _ in self._equal[:]:  # each can bind one more
            self._bound |= {self._name(one) for one, other in self._equal if self._is_bound(other)}
        for node in walk((getattr(query, "whereClause", None), getattr(query, "targetList", None))):
            if is_a(node, ast.SubLink):
                self._parts.append(Part(node.subselect, column, self._of_ctes))

    def unbound(self, tables: Collection[str]) -> Iterator[Node]:
        """Yield the places of those `tables` that are not bound to a parameter, here and in the parts inside."""
        for name, node in self._tables.items():
            if getattr(node, "relname", None) in tables and (name, self._column) not in self._bound:
                yield node
        if is_a(self._query, ast.InsertStmt):
            rows = Part(self._query.selectStmt, self._column, self._of_ctes)
            yield from rows.unbound(tables)
            if self._query.relation.relname in tables and not rows.gives(self._query.cols):
                yield self._query.relation
        for part in self._parts:
            yield from part.unbound(tables)

    def gives(self, columns: Collection[Node]) -> bool:
        """Return whether the rows have one value for the column, if they are inserted into these `columns`."""
        if getattr(self._query, "valuesLists", None):
            given = zip(columns, self._query.valuesLists[0], strict=False)
            return any(each.name == self._column and is_a(value, ast.ParamRef) for each, value in given)
        given = zip(columns, targets(self._query), strict=False)
        return any(each.name == self._column and self._is_known(target.val) for each, target in given)

    def _bound_targets(self, name: str, query: Node) -> set[Column]:
        part = Part(query, self._column, self._of_ctes)
        self._parts.append(part)
        return {(name, target_name(target)) for target in targets(query) if part._is_known(target.val)}

    def _add(self, item: Node) -> None:
        """Take in one item of the ``from``."""
        if is_a(item, ast.JoinExpr):
            self._add(item.larg)
            left = {*self._tables}
            self._add(item.rarg)
            right = {*self._tables} - left
            # An outer join keeps all rows of one side, which its condition does not bind.
            sides = {"JOIN_INNER": left | right, "JOIN_LEFT": right, "JOIN_RIGHT": left}
            self._require(item.quals, sides.get(item.jointype.name, set()))
            return
        name = item.alias.aliasname if item.alias else getattr(item, "relname", "")
        self._tables[name] = item
        if is_a(item, ast.RangeSubselect):
            self._of_ctes |= self._bound_targets(name, item.subquery)
        elif is_a(item, ast.RangeVar):
            self._of_ctes |= {(name, column) for cte, column in self._of_ctes if cte == item.relname}

    def _require(self, condition: Node, bound: Collection[str]) -> None:
        """Note which columns of the tables `bound` must equal what; in an ``or`` they need not."""
        if is_a(condition, ast.BoolExpr) and condition.boolop.name == "AND_EXPR":
            for part in condition.args:
                self._require(part, bound)
        elif is_a(condition, ast.A_Expr) and condition.kind.name == "AEXPR_OP" and condition.name[-1].sval == "=":
            for one, other in ((condition.lexpr, condition.rexpr), (condition.rexpr, condition.lexpr)):
                if is_a(one, ast.ColumnRef) and self._name(one)[0] in bound:
                    self._equal.append((one, other))

    def _name(self, column: Node) -> Column:
        names = [field.sval for field in column.fields if is_a(field, ast.String)]
        return (names[-2] if len(names) > 1 else next(iter(self._tables), ""), names[-1])

    def _is_bound(self, value: Node) -> bool:
        return is_a(value, ast.ParamRef) or (is_a(value, ast.ColumnRef) and self._name(value) in self._bound)

    def _is_known(self, value: Node) -> bool:
        return self._is_bound(value) or (is_a(value, ast.ColumnRef) and self._name(value) in self._of_ctes)


def is_a(node: Node, *kinds: type[ast.Node]) -> bool:
    """Return whether `node` is of one of the `kinds`; mypy keeps its type, whose fields pglast declares optional."""
    return isinstance(node, kinds)
