"""Questions about parts of an analysed query: its conditions, its relations and its groups."""

from collections.abc import Iterator
from typing import Any

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.query_tree import Node, walk


def conjuncts(condition: Any) -> Iterator[Node]:  # noqa: ANN401 - a node, or None
    """Yield the operands of a conjunction, except `true`."""
    if condition is not None and condition.boolop == "and":
        for each in condition.args:
            yield from conjuncts(each)
    elif condition is not None and (condition.constvalue or [])[:1] != [1]:
        yield condition


def joined_relations(part: Node) -> list[int]:
    """Return the numbers of the relations in a part of the FROM clause."""
    return [node.rtindex for node, level in walk(part) if node.label == "RANGETBLREF" and level == 0]


def is_table(relation: Node) -> bool:
    """Return whether an entry of the range table is a table, not a view."""
    return bool(relation.rtekind == pg.TABLE and relation.relkind != "v")


def is_alias(relation: Node) -> bool:
    """Return whether an entry of the range table only names columns of others: a join, or GROUP BY."""
    return relation.rtekind in {pg.JOIN, pg.GROUP}


def aggregates_all(query: Node) -> bool:
    """Return whether a query aggregates all rows into one."""
    return bool(query.hasAggs and not query.groupClause and not query.groupingSets)


def has_row_without_input(query: Node) -> bool:
    """Return whether a query has a row even if its FROM clause has none: it aggregates all, or has an empty set."""
    sets = query.groupingSets
    return aggregates_all(query) or bool(sets and all(map(_has_empty_set, sets)))


def _has_empty_set(grouping: Node) -> bool:
    """Return whether one of the sets that `rollup`, `cube` or `grouping sets` lists is empty."""
    if grouping.kind == pg.SETS:
        return any(map(_has_empty_set, grouping.content))
    return grouping.kind in {pg.EMPTY_SET, pg.ROLLUP, pg.CUBE}
