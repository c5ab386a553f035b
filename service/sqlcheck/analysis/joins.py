"""The outer joins of a query, and the columns in which its conditions exclude nulls."""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.not_null import Variable, not_null_if_true
from service.sqlcheck.analysis.query_tree import Node

if TYPE_CHECKING:
    from service.sqlcheck.analysis.scope import Scope


@attrs.frozen(eq=False)
class OuterJoin:
    """The side of an outer join that is null for rows of the `preserved` side without a match."""

    scope: "Scope"
    node: Node
    preserved: Node


@attrs.frozen
class _Condition:
    """The condition of a join: if it is true, the joins `below` have not made `relations` null."""

    quals: Any
    relations: frozenset[int]
    below: frozenset[OuterJoin]


class Joins:
    """The FROM clause of a query: which outer joins are above each relation, and what the conditions filter."""

    def __init__(self, scope: "Scope") -> None:
        self._scope = scope
        self._above: dict[int, frozenset[OuterJoin]] = {}
        self._conditions: list[_Condition] = []
        # Outer joins that other conditions can turn into inner joins, with their own conditions.
        self._if_inner: list[tuple[OuterJoin, _Condition]] = []
        # In the groups for which HAVING is true, it excludes nulls like a condition of each row.
        self._having = _Condition(scope.query.havingQual, *self._visit(scope.query.jointree))

    def _visit(self, node: Node) -> tuple[frozenset[int], frozenset[OuterJoin]]:
        """Return the relations of a part of the FROM clause, and its outer joins."""
        if node.label == "RANGETBLREF":
            self._above[node.rtindex] = frozenset()
            return frozenset({node.rtindex}), frozenset()
        if node.label == "FROMEXPR":
            parts = [self._visit(each) for each in node.fromlist or []]
            relations = frozenset().union(*(part[0] for part in parts))
            below = frozenset().union(*(part[1] for part in parts))
            self._conditions.append(_Condition(node.quals, relations, below))
            return relations, below
        (left, left_joins), (right, right_joins) = (self._visit(side) for side in (node.larg, node.rarg))
        below = left_joins | right_joins
        inside = {pg.INNER: left | right, pg.LEFT: right, pg.RIGHT: left, pg.FULL: frozenset[int]()}[node.jointype]
        self._conditions.append(_Condition(node.quals, inside, below))
        for side, other, types in ((right, node.larg, {pg.LEFT, pg.FULL}), (left, node.rarg, {pg.RIGHT, pg.FULL})):
            if node.jointype in types:
                join = OuterJoin(self._scope, node, other)
                below |= {join}
                for number in side:
                    self._above[number] |= {join}
                if node.jointype != pg.FULL:  # once it is an inner join, its condition is true for all rows
                    self._if_inner.append((join, _Condition(node.quals, left | right, left_joins | right_joins)))
        return left | right, below

    @cached_property
    def _excluded(self) -> tuple[frozenset[Variable], frozenset[OuterJoin]]:
        not_null: set[Variable] = set()
        cancelled: set[OuterJoin] = set()
        waiting, if_inner = [*self._conditions, self._having], list(self._if_inner)
        while waiting:
            condition = waiting.pop()
            for variable in not_null_if_true(self._scope, condition.quals):
                if variable[0] in condition.relations:
                    not_null.add(variable)
                    cancelled |= self._above[variable[0]] & condition.below
            waiting += [own for join, own in if_inner if join in cancelled]
            if_inner = [each for each in if_inner if each[0] not in cancelled]
        return frozenset(not_null), frozenset(cancelled)

    @property
    def not_null_columns(self) -> frozenset[Variable]:
        """The columns in which conditions exclude nulls, unless an outer join makes them null."""
        return self._excluded[0]

    def outer_joins(self, number: int, *, filtered: bool = True) -> frozenset[OuterJoin]:
        """Return the outer joins that can make a relation null, in the rows for which all conditions are true."""
        return self._above.get(number, frozenset()) - (self._excluded[1] if filtered else frozenset())

    def conditions(self) -> Iterator[tuple[Any, frozenset[int]]]:
        """Yield each condition with the relations that it filters."""
        inner = [own for join, own in self._if_inner if join in self._excluded[1]]
        for condition in self._conditions + inner:
            yield condition.quals, condition.relations
