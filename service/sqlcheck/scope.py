"""One level of an analysed query: its relations, the outer joins above each, and what its conditions rule out.

A condition that is true rules out null: after `where toy.price > 1` neither toy.price is null, nor did the outer join
that toy belongs to leave it without a partner.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import attrs

from service.sqlcheck.catalogue import Catalogue
from service.sqlcheck.node_tree import Node, walk

SELECT, UPDATE, INSERT, DELETE, MERGE = 1, 2, 3, 4, 5  # CmdType
INNER, LEFT, FULL, RIGHT = 0, 1, 2, 3  # JoinType
TABLE, SUBQUERY, JOIN, FUNCTION, TABLE_FUNCTION, VALUES, CTE, TUPLES, RESULT, GROUP = range(10)  # RTEKind
ANY = 2  # SubLinkType
CASTS = {"RELABELTYPE", "COERCEVIAIO", "COLLATEEXPR", "COERCETODOMAIN", "ARRAYCOERCEEXPR", "NAMEDARGEXPR"}
Variable = tuple[int, int]  # of a relation, by its number in the query, a column


def conjuncts(condition: Any) -> Iterator[Node]:  # noqa: ANN401 - a node, or None
    """Yield what must all be true."""
    if condition is not None and condition.label == "BOOLEXPR" and condition.boolop == "and":
        for each in condition.args:
            yield from conjuncts(each)
    elif condition is not None and not (condition.label == "CONST" and condition.constvalue[:1] == [1]):
        yield condition


@attrs.frozen(eq=False)
class OuterJoin:
    """A side of an outer join that is null for rows of the `preserved` side that have no partner."""

    scope: "Scope"
    node: Node
    preserved: Node


@attrs.frozen
class _Condition:
    """The condition of a join: where it holds, `relations` are not null by the joins `below`."""

    quals: Any
    relations: frozenset[int]
    below: frozenset[OuterJoin]


@attrs.define(eq=False)
class Scope:
    """A query, the one around it, and what its parameters are given."""

    catalogue: Catalogue
    query: Node
    parent: "Scope | None" = None
    # Of the function whose body this is, in the caller's scope.
    arguments: Sequence[Node] = ()
    caller: "Scope | None" = None
    children: dict[int, "Scope"] = attrs.field(factory=dict)

    @property
    def targets(self) -> list[Node]:
        """What the result's columns are."""
        found = self.query.targetList if self.query.commandType == SELECT else self.query.returningList
        return [target for target in found or [] if not target.resjunk]

    def relation(self, number: int) -> Node:
        """Return an entry of the range table."""
        found: Node = self.query.rtable[number - 1]
        return found

    def outer(self, levels: int) -> "Scope":
        """Return the query that stands so many levels further out."""
        scope = self
        for _ in range(levels):
            assert scope.parent  # noqa: S101 - PostgreSQL has resolved it
            scope = scope.parent
        return scope

    def child(self, query: Node) -> "Scope":
        """Return the scope of a query inside this one."""
        if id(query) not in self.children:
            self.children[id(query)] = Scope(self.catalogue, query, self)
        return self.children[id(query)]

    def called(self, call: Node) -> "Scope | None":
        """Return the scope of the body of a function in SQL, or None."""
        function = self.catalogue.functions.get(call.funcid)
        if function is None or not function.is_sql or function.arguments != len(call.args or []) or self.depth > 20:  # noqa: PLR2004 - a function may call itself
            return None
        if id(call) not in self.children:
            body = self.catalogue.body(call.funcid)
            if body is None:
                return None
            self.children[id(call)] = Scope(self.catalogue, body, arguments=call.args or [], caller=self)
        return self.children[id(call)]

    def source(self, number: int) -> "Scope | None":
        """Return the scope of the query that a relation stands for: a subquery, a CTE, a view, a function in SQL."""
        relation = self.relation(number)
        if relation.rtekind == SUBQUERY:
            return self.child(relation.subquery)
        if relation.rtekind == CTE:
            scope = self.outer(relation.ctelevelsup)
            return scope.child(scope.cte(relation.ctename).ctequery)
        if relation.rtekind == TABLE and relation.relkind == "v":
            view = self.catalogue.view(relation.relid)
            return self.child(view) if view else None
        if relation.rtekind == FUNCTION and len(relation.functions) == 1:
            call = relation.functions[0].funcexpr
            return self.called(call) if call.label == "FUNCEXPR" else None
        return None

    def cte(self, name: str) -> Node:
        """Return a common table expression of this query."""
        found: Node = next(cte for cte in self.query.cteList if cte.ctename == name)
        return found

    @property
    def depth(self) -> int:
        """How many calls this is inside of."""
        around = self.caller or self.parent
        return around.depth + bool(self.caller) if around else 0

    @cached_property
    def _joins(self) -> tuple[dict[int, frozenset[OuterJoin]], list[_Condition]]:
        above: dict[int, frozenset[OuterJoin]] = {}
        conditions: list[_Condition] = []
        if self.query.jointree:
            self._visit(self.query.jointree, above, conditions)
        return above, conditions

    def _visit(
        self, node: Node, above: dict[int, frozenset[OuterJoin]], conditions: list[_Condition]
    ) -> tuple[frozenset[int], frozenset[OuterJoin]]:
        """Return the relations of a part of `from`, and its outer joins."""
        if node.label == "RANGETBLREF":
            above[node.rtindex] = frozenset()
            return frozenset({node.rtindex}), frozenset()
        if node.label == "FROMEXPR":
            parts = [self._visit(each, above, conditions) for each in node.fromlist or []]
            relations = frozenset().union(*(part[0] for part in parts))
            below = frozenset().union(*(part[1] for part in parts))
            conditions.append(_Condition(node.quals, relations, below))
            return relations, below
        (left, left_joins), (right, right_joins) = (
            self._visit(side, above, conditions) for side in (node.larg, node.rarg)
        )
        below = left_joins | right_joins
        inside = {INNER: left | right, LEFT: right, RIGHT: left, FULL: frozenset[int]()}[node.jointype]
        conditions.append(_Condition(node.quals, inside, below))
        for side, other, types in ((right, node.larg, {LEFT, FULL}), (left, node.rarg, {RIGHT, FULL})):
            if node.jointype in types:
                join = OuterJoin(self, node, other)
                below |= {join}
                for number in side:
                    above[number] |= {join}
                if node.jointype != FULL:  # what turns it into an inner join makes its condition hold for all rows
                    self._turned.append((join, _Condition(node.quals, left | right, left_joins | right_joins)))
        return left | right, below

    _turned: list[tuple[OuterJoin, _Condition]] = attrs.field(factory=list, init=False)

    @cached_property
    def _ruled_out(self) -> tuple[frozenset[Variable], frozenset[OuterJoin]]:
        above, conditions = self._joins
        present: set[Variable] = set()
        cancelled: set[OuterJoin] = set()
        waiting, turned = list(conditions), list(self._turned)
        while waiting:
            condition = waiting.pop()
            for variable in self.strict(condition.quals):
                if variable[0] in condition.relations:
                    present.add(variable)
                    cancelled |= above[variable[0]] & condition.below
            waiting += [held for join, held in turned if join in cancelled]
            turned = [each for each in turned if each[0] not in cancelled]
        return frozenset(present), frozenset(cancelled)

    @property
    def present(self) -> frozenset[Variable]:
        """Columns that are not null, unless an outer join makes them so."""
        return self._ruled_out[0]

    def joins(self, number: int) -> frozenset[OuterJoin]:
        """Return the outer joins that can make a relation null."""
        return self._joins[0].get(number, frozenset()) - self._ruled_out[1]

    def conditions(self) -> Iterator[tuple[Any, frozenset[int]]]:
        """Yield each condition with the relations whose rows it limits."""
        for condition in self._joins[1]:
            yield condition.quals, condition.relations

    @cached_property
    def expressions(self) -> list[Node]:
        """Expressions that `where … is not null` rules null out of; those that change from call to call are none."""
        quals = self.query.jointree.quals if self.query.commandType == SELECT and self.query.jointree else None
        tests = [each for each in conjuncts(quals) if each.label == "NULLTEST" and each.nulltesttype == 1]
        return [test.arg for test in tests if not any(self._is_volatile(node) for node, _ in walk(test.arg))]

    def _is_volatile(self, node: Node) -> bool:
        function = self.catalogue.functions.get(node.funcid or self.catalogue.operators.get(node.opno or 0, 0))
        return bool(function and function.is_volatile)

    def strict(self, condition: Any) -> set[Variable]:  # noqa: ANN401, PLR0911 - a node or None; a table of cases
        """Return the columns that cannot be null where a condition is true."""
        if condition is None:
            return set()
        match condition.label:
            case "BOOLEXPR" if condition.boolop == "and":
                return set().union(*(self.strict(each) for each in condition.args))
            case "BOOLEXPR" if condition.boolop == "or":
                return set.intersection(*(self.strict(each) for each in condition.args))
            case "NULLTEST":
                return self._present_in(condition.arg) if condition.nulltesttype == 1 else set()
            case "BOOLEANTEST":  # is true, is false, is not unknown
                return self._present_in(condition.arg) if condition.booltesttype in {0, 2, 5} else set()
            case "SCALARARRAYOPEXPR":
                known = condition.useOr and self._is_strict(condition.opno)
                return self._present_in(condition.args[0]) if known else set()
            case "SUBLINK":
                return self._present_in(condition.testexpr) if condition.subLinkType == ANY else set()
            case _:
                return self._present_in(condition)

    def strict_if_false(self, condition: Node) -> set[Variable]:
        """Return the columns that cannot be null where a condition is not true: after `when x is null`, x."""
        match condition.label:
            case "NULLTEST":
                return self._present_in(condition.arg) if condition.nulltesttype == 0 else set()
            case "BOOLEXPR" if condition.boolop == "or":
                return set().union(*(self.strict_if_false(each) for each in condition.args))
            case _:
                return set()

    def _present_in(self, node: Any) -> set[Variable]:  # noqa: ANN401, PLR0911 - a node or None; a table of cases
        """Return the columns that cannot be null where an expression is not null."""
        if node is None:
            return set()
        match node.label:
            case "VAR":
                return self._base(node)
            case "OPEXPR":
                return self._present_in_all(node.args) if self._is_strict(node.opno) else set()
            case "FUNCEXPR":
                function = self.catalogue.functions.get(node.funcid)
                return self._present_in_all(node.args) if function and function.is_strict else set()
            case "BOOLEXPR":
                return self._present_in_all(node.args) if node.boolop == "not" else set()
            case label if label in CASTS:
                return self._present_in(node.arg)
            case _:
                return set()

    def _present_in_all(self, nodes: Iterable[Node] | None) -> set[Variable]:
        return set().union(*(self._present_in(each) for each in nodes or []))

    def _base(self, variable: Node) -> set[Variable]:
        """Return the column that a variable of this query means, through the names that joins and groups give it."""
        if variable.varlevelsup:
            return set()
        relation = self.relation(variable.varno)
        if relation.rtekind in {JOIN, GROUP} and variable.varattno > 0:
            return self._present_in(self.meant(variable))
        return {(variable.varno, variable.varattno)}

    def meant(self, variable: Node) -> Node:
        """Return the expression that a variable of a join, or of a group, stands for."""
        relation = self.relation(variable.varno)
        found: Node = (relation.joinaliasvars or relation.groupexprs)[variable.varattno - 1]
        return found

    def _is_strict(self, operator: int) -> bool:
        function = self.catalogue.functions.get(self.catalogue.operators.get(operator, 0))
        return bool(function and function.is_strict)
