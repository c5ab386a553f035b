"""Whether a query returns at most one row, or few.

Each relation has a unique key that the conditions fix, or has a single row itself; or `limit 1`, or an aggregate.
"""

from collections.abc import Iterator

from service.sqlcheck.catalogue import Key
from service.sqlcheck.node_tree import Node, same, walk
from service.sqlcheck.scope import (
    ANY,
    CTE,
    DELETE,
    FULL,
    FUNCTION,
    JOIN,
    MERGE,
    RESULT,
    SELECT,
    TABLE,
    UPDATE,
    VALUES,
    Scope,
    Variable,
    conjuncts,
)

DO_UPDATE = 2  # OnConflictAction
UNION, EXCEPT = 1, 3  # SetOperation
Fixed = frozenset[int]


def at_most_one(scope: Scope, fixed: Fixed = frozenset(), *, few: bool = False) -> bool:  # noqa: PLR0911 - a table of cases
    """Tell whether a query returns a row or none, for one value of each of its `fixed` columns (from 0).

    :param few: whether a bounded number of rows will do: a limit, one row for each value of a parameter
    """
    query = scope.query
    if (few and query.limitCount) or (number_in(query.limitCount) in {0, 1} and not query.limitOption):
        return True
    if (query.hasTargetSRFs and not few) or query.commandType == MERGE:
        return False
    if aggregates_all(query):
        return True
    if query.setOperations:
        if few:
            return all(at_most_one(arm, fixed, few=True) for arm in _arms(scope, query.setOperations))
        distinct = query.setOperations.op == UNION and not query.setOperations.all
        return distinct and len(fixed) == len(scope.targets)
    determined = Determined(scope, fixed, few=few)
    if query.commandType in {UPDATE, DELETE}:
        return query.resultRelation in determined.single  # each row of it is changed, and returned, once
    keys = query.groupClause or query.distinctClause or []
    if keys and not query.groupingSets:
        marks = {key.tleSortGroupRef for key in keys}
        if all(determined.fixes(each.expr) for each in query.targetList if each.ressortgroupref in marks):
            return True
    return determined.all_single


def _arms(scope: Scope, node: Node) -> Iterator[Scope]:
    """Yield the queries that a set operation takes its rows from."""
    if node.label == "RANGETBLREF":
        yield scope.child(scope.relation(node.rtindex).subquery)
        return
    yield from _arms(scope, node.larg)
    if node.op != EXCEPT:
        yield from _arms(scope, node.rarg)


def single_row(scope: Scope, part: Node) -> bool:
    """Tell whether a part of `from` has at most one row."""
    determined = Determined(scope, frozenset())
    return not any(node.jointype == FULL for node, _ in walk(part) if node.label == "JOINEXPR") and all(
        node.rtindex in determined.single for node, _ in walk(part) if node.label == "RANGETBLREF"
    )


def aggregates_all(query: Node) -> bool:
    """Tell whether all rows become one."""
    return bool(query.hasAggs and not query.groupClause and not query.groupingSets)


def number_in(node: Node | None) -> int | None:
    """Return a number that is written in the query."""
    while node is not None and node.label in {"FUNCEXPR", "RELABELTYPE"}:
        node = node.args[0] if node.label == "FUNCEXPR" else node.arg
    if node is None or node.label != "CONST" or node.constisnull:
        return None
    return int.from_bytes(bytes(each % 256 for each in node.constvalue), "little", signed=True)


def bare(node: Node) -> Node:
    """Return what is below casts that change no value, such as that of varchar to text."""
    while node.label == "RELABELTYPE":
        node = node.arg
    return node


class Determined:
    """The relations of a query that have a single row, and the columns with a single value; or `few` of them."""

    def __init__(self, scope: Scope, fixed: Fixed, *, few: bool = False) -> None:
        self._scope = scope
        self._few = few
        self._columns: set[Variable] = set()
        self.single: set[int] = set()
        self._conditions = [
            (each, relations) for condition, relations in scope.conditions() for each in conjuncts(condition)
        ]
        for place in fixed:
            expression = bare(scope.targets[place].expr)
            self._columns |= scope.strict(expression) if expression.label == "VAR" else set()
        self._derive()

    @property
    def relations(self) -> list[int]:
        """The relations that rows are taken from."""
        return [
            node.rtindex
            for node, level in walk(self._scope.query.jointree)
            if node.label == "RANGETBLREF" and level == 0
        ]

    @property
    def all_single(self) -> bool:
        """Whether all relations have a single row, so that what they are joined to has."""
        parts = [node for node, level in walk(self._scope.query.jointree) if level == 0]
        if not self._few and any(node.label == "JOINEXPR" and node.jointype == FULL for node in parts):
            return False
        return self.single.issuperset(self.relations)

    def fixes(self, node: Node) -> bool:
        """Tell whether an expression has a single value."""
        for each, level in walk(node):
            if each.label == "FUNCEXPR":
                function = self._scope.catalogue.functions.get(each.funcid)
                if function is None or function.is_volatile or each.funcretset:
                    return False
            # A variable of a query inside counts that query's levels, too.
            if each.label in {"AGGREF", "WINDOWFUNC"} and level == 0:
                return False
            if each.label == "VAR" and each.varlevelsup == level and not self._has_value(each):
                return False
        return True

    def _has_value(self, variable: Node) -> bool:
        relation = self._scope.relation(variable.varno)
        if relation.rtekind == JOIN or relation.groupexprs:
            return variable.varattno > 0 and self.fixes(self._scope.meant(variable))
        return variable.varno in self.single or (variable.varno, variable.varattno) in self._columns

    def _derive(self) -> None:
        before = (-1, -1)
        while before != (len(self.single), len(self._columns)):
            before = (len(self.single), len(self._columns))
            for condition, relations in self._conditions:
                for one, other in self._equal(condition):
                    if one.label == "VAR" and not one.varlevelsup and one.varno in relations and self.fixes(other):
                        self._columns.add((one.varno, one.varattno))
            for number in range(1, len(self._scope.query.rtable or []) + 1):
                if number not in self.single and self._is_single(number):
                    self.single.add(number)

    def _equal(self, condition: Node) -> Iterator[tuple[Node, Node]]:
        """Yield the sides of an equation, either way round."""
        if condition.label == "OPEXPR" and condition.opno in self._scope.catalogue.equalities:
            one, other = condition.args
            yield bare(one), other
            yield bare(other), one
        if self._few and (any_of := self._any(condition)) and any_of.opno in self._scope.catalogue.equalities:
            yield bare(any_of.args[0]), any_of.args[1]

    def _any(self, condition: Node) -> Node | None:
        """Return the comparison of `= any (…)`, or of `in` of a query that returns few rows."""
        if condition.label == "SCALARARRAYOPEXPR" and condition.useOr:
            return condition
        if condition.label != "SUBLINK" or condition.subLinkType != ANY or condition.testexpr.label != "OPEXPR":
            return None
        test: Node = condition.testexpr
        return test if at_most_one(self._scope.child(condition.subselect), few=True) else None

    def _is_single(self, number: int) -> bool:  # noqa: PLR0911 - a table of cases
        relation = self._scope.relation(number)
        fixed = frozenset(column - 1 for of, column in self._columns if of == number)
        if relation.rtekind == TABLE and relation.relkind != "v":
            return any(self._fixes_key(number, key) for key in self._scope.catalogue.keys.get(relation.relid, []))
        if relation.rtekind == VALUES:
            return self._few or len(relation.values_lists) == 1
        if relation.rtekind == RESULT:
            return True
        if relation.rtekind == FUNCTION and not any(each.funcexpr.funcretset for each in relation.functions):
            return True
        if relation.rtekind == CTE and self._scope.outer(relation.ctelevelsup).cte(relation.ctename).cterecursive:
            return False
        source = self._scope.source(number)
        if source is None:
            return self._few and relation.rtekind == FUNCTION  # such as unnest($1)
        return at_most_one(source, fixed, few=self._few)

    def _fixes_key(self, number: int, key: Key) -> bool:
        limits = [condition for condition, relations in self._conditions if number in relations]
        expressions = iter(key.expressions)
        return all(any(same(part, each, index=number) for each in limits) for part in conjuncts(key.condition)) and all(
            (number, column) in self._columns if column else self._fixes_expression(number, next(expressions))
            for column in key.columns
        )

    def _fixes_expression(self, number: int, expression: Node) -> bool:
        return any(
            same(bare(expression), one, index=number) and self.fixes(other)
            for condition, relations in self._conditions
            if number in relations
            for one, other in self._equal(condition)
        )


def origin(scope: Scope, variable: Node, *, written: bool = False) -> tuple[int, int] | None:
    """Return the table and the column that a variable shows; of rows that the statement itself has `written`, too."""
    scope = scope.outer(variable.varlevelsup)
    relation = scope.relation(variable.varno)
    if relation.rtekind == JOIN or relation.groupexprs:
        meant = bare(scope.meant(variable)) if variable.varattno > 0 else None
        return origin(scope, meant, written=written) if meant and meant.label == "VAR" else None
    if relation.rtekind == TABLE and relation.relkind != "v":
        return relation.relid, variable.varattno
    source = scope.source(variable.varno)
    if source is None or not (written or source.query.commandType == SELECT):
        return None  # what a change returns is not there yet for the rest of the statement
    if source.query.setOperations or not 0 < variable.varattno <= len(source.targets):
        return None
    expression = bare(source.targets[variable.varattno - 1].expr)
    return origin(source, expression, written=written) if expression.label == "VAR" else None
