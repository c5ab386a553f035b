"""Queries on distributed tables: each names one user, so that Citus runs it on a single shard."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
from pglast import ast

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.description import Description
from service.sqlcheck.analysis.parse_tree import ParsedQuery, walk_parsed
from service.sqlcheck.analysis.query_parts import conjuncts, joined_relations
from service.sqlcheck.analysis.query_tree import Node
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.findings import Problem

# The distribution column in sql/citus.sql.
DISTRIBUTED_BY = re.compile(r"create_distributed_table\(\s*[^,()]+,\s*'(?P<column>\w+)'")
# Tables whose primary key begins with the column, which sql/citus.sql distributes, and views with the column.
TABLES = """
    select pg_class.oid, relname::text, attnum
    from pg_class
    inner join pg_attribute on attrelid = pg_class.oid and attname = %(column)s
    left join pg_index on indrelid = pg_class.oid and indisprimary and indkey[0] = attnum
    where relnamespace = 'public'::regnamespace and (relkind = 'v' or indrelid is not null)
"""
# By oid: the name of a table, and the number of its distribution column.
Tables = Mapping[int, tuple[str, int]]


def distribution_column(sql: Path) -> str | None:
    """Return the column by which ``citus.sql`` in the folder `sql` distributes tables; None without such a file."""
    path = sql / "citus.sql"
    found = DISTRIBUTED_BY.search(path.read_text(encoding="utf-8")) if path.exists() else None
    return found["column"] if found else None


def distributed_tables(connection: psycopg.Connection[Any], column: str) -> Tables:
    """Return the tables that are distributed by `column`, and the views with it."""
    return {oid: (name, number) for oid, name, number in connection.execute(TABLES, {"column": column})}


def check_one_shard(description: Description, column: str, tables: Tables) -> Iterator[Problem]:
    """Find the distributed `tables` whose `column` a query does not bind to a parameter.

    Citus routes a query to one shard only if every CTE and subquery equates the column with a parameter.
    """
    parsed, names = description.parsed, {name for name, _ in tables.values()}
    for node in _insert_sources(parsed):
        if node.relname in names:
            sentence = (
                f"the insert selects directly from {node.relname}, which can run on every shard: use a materialized CTE"
            )
            yield "one-shard", parsed.line_of(node), sentence
    scopes = description.scope.with_nested() if description.scope else ()
    for name in (name for scope in scopes for name in _unbound(scope, tables)):
        sentence = f"{name}.{column} equals no parameter in this part of the query, which therefore runs on every shard"
        yield "one-shard", parsed.line_of_table(name), sentence


def _insert_sources(parsed: ParsedQuery) -> Iterator[Any]:
    """Yield the tables and views from which an insert selects.

    Citus runs such a select in steps. It tries to route a CTE to one shard, but not a view that joins two tables.
    """
    for node in parsed.nodes:
        if isinstance(node, ast.InsertStmt):
            inside = walk_parsed(getattr(node.selectStmt, "fromClause", None) or ())
            yield from (each for each in inside if isinstance(each, ast.RangeVar))


def _unbound(scope: Scope, tables: Tables) -> Iterator[str]:
    """Yield the `tables` that a query does not bind to a parameter."""
    query, bound = scope.query, _bound(scope)
    for number in sorted({*joined_relations(query.jointree), query.resultRelation} - {0}):
        name, column = tables.get(scope.relation(number).relid, ("", 0))
        if name and query.commandType == pg.INSERT and number == query.resultRelation:
            values = [each.expr for each in query.targetList or [] if each.resno == column]
            if not (values and _is_known(scope, values[0])):
                yield name
        elif name and (number, column) not in bound:
            yield name


def _bound(scope: Scope) -> set[tuple[int, int]]:
    """Return the columns of this query, by relation, that its conditions equate with a parameter."""
    conditions = [*scope.joins.conditions()]
    if scope.query.commandType == pg.MERGE:
        joined = scope.query.mergeJoinCondition or scope.query.jointree.quals  # before PostgreSQL 17
        conditions.append((joined, frozenset(range(1, len(scope.query.rtable) + 1))))
    pairs: list[tuple[Node, Node]] = []
    for condition, relations in conditions:
        for each in conjuncts(condition):
            for one, other in scope.equated(each):
                if one.label == "VAR" and not one.varlevelsup and one.varno in relations:
                    pairs.append((one, other))
    bound: set[tuple[int, int]] = set()
    for _ in pairs:  # each pass can bind one more column
        bound |= {(one.varno, one.varattno) for one, other in pairs if _is_bound(other, bound)}
    return bound


def _is_bound(value: Node, bound: set[tuple[int, int]]) -> bool:
    own = value.label == "VAR" and not value.varlevelsup
    return value.label == "PARAM" or (own and (value.varno, value.varattno) in bound)


def _is_known(scope: Scope, value: Node) -> bool:
    """Return whether a value is a parameter, or a column that this query, or the query behind it, equates with one."""
    value = scope.without_alias(value)
    if _is_bound(value, _bound(scope)):
        return True
    if value.label != "VAR" or value.varlevelsup:
        return False
    source, shown = scope.shown_expression(value)
    return shown is not None and _is_known(source, shown)
