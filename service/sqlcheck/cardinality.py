"""Cardinality: whether a query returns at most one row, and whether at least one.

At most one row: each relation has a unique key that the conditions fix, or has a single row itself; or `limit 1`, or an
aggregate. At least one: nothing filters, or a foreign key promises the partner of a join.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from service.sqlcheck.catalogue import ForeignKey, Key
from service.sqlcheck.node_tree import Node, same, walk
from service.sqlcheck.scope import (
    CTE,
    DELETE,
    FULL,
    FUNCTION,
    INNER,
    INSERT,
    JOIN,
    MERGE,
    RESULT,
    RIGHT,
    SELECT,
    TABLE,
    UPDATE,
    VALUES,
    Scope,
    Variable,
)

DO_UPDATE = 2  # OnConflictAction
UNION = 1  # SetOperation
Fixed = frozenset[int]


class Judgement(Protocol):
    """What nullability says of an expression."""

    @property
    def never(self) -> bool:
        """Whether there is no null."""


class Judges(Protocol):
    """What judges nullability; it asks here in its turn."""

    def expression(self, scope: Scope, node: Node) -> Judgement:
        """Judge an expression."""


def at_most_one(scope: Scope, fixed: Fixed = frozenset()) -> bool:  # noqa: PLR0911 - a table of cases
    """Tell whether a query returns a row or none, for one value of each of its `fixed` columns (from 0)."""
    query = scope.query
    if _number(query.limitCount) in {0, 1} and not query.limitOption:
        return True
    if query.hasTargetSRFs or query.commandType == MERGE:
        return False
    if _aggregates_all(query):
        return True
    if query.setOperations:
        distinct = query.setOperations.op == UNION and not query.setOperations.all
        return distinct and len(fixed) == len(scope.targets)
    determined = _Determined(scope, fixed)
    if query.commandType in {UPDATE, DELETE}:
        return query.resultRelation in determined.single  # each row of it is changed, and returned, once
    keys = query.groupClause or query.distinctClause or []
    if keys and not query.groupingSets:
        marks = {key.tleSortGroupRef for key in keys}
        if all(determined.fixes(each.expr) for each in query.targetList if each.ressortgroupref in marks):
            return True
    return determined.all_single


def at_least_one(scope: Scope, judge: Judges, *, of_session: bool = False) -> bool:
    """Tell whether a query surely returns a row.

    :param of_session: take it for granted that the function that gets `$1` returns a row: the session is alive
    """
    query = scope.query
    if query.limitOffset or (query.limitCount and not (_number(query.limitCount) or 0) > 0) or query.havingQual:
        return False
    if _aggregates_all(query):
        return not query.hasTargetSRFs
    if query.setOperations:
        return _some_arm(scope, query.setOperations, judge, of_session=of_session)
    if query.hasTargetSRFs or query.commandType == MERGE:
        return False
    if query.commandType == INSERT:
        conflict = query.onConflict
        certain = conflict is None or (conflict.action == DO_UPDATE and conflict.onConflictWhere is None)
        if not certain or scope.relation(query.resultRelation).relid in scope.catalogue.triggers:
            return False
    return _Certain(scope, judge, of_session=of_session).rows(query.jointree)


def single_row(scope: Scope, part: Node) -> bool:
    """Tell whether a part of `from` has at most one row."""
    determined = _Determined(scope, frozenset())
    return not any(node.jointype == FULL for node, _ in walk(part) if node.label == "JOINEXPR") and all(
        node.rtindex in determined.single for node, _ in walk(part) if node.label == "RANGETBLREF"
    )


def _some_arm(scope: Scope, node: Node, judge: Judges, *, of_session: bool) -> bool:
    if node.label == "RANGETBLREF":
        return at_least_one(scope.child(scope.relation(node.rtindex).subquery), judge, of_session=of_session)
    return node.op == UNION and any(
        _some_arm(scope, arm, judge, of_session=of_session) for arm in (node.larg, node.rarg)
    )


def _aggregates_all(query: Node) -> bool:
    """Tell whether all rows become one."""
    return bool(query.hasAggs and not query.groupClause and not query.groupingSets)


def _number(node: Node | None) -> int | None:
    """Return a number that is written in the query."""
    while node is not None and node.label in {"FUNCEXPR", "RELABELTYPE"}:
        node = node.args[0] if node.label == "FUNCEXPR" else node.arg
    if node is None or node.label != "CONST" or node.constisnull:
        return None
    return int.from_bytes(bytes(each % 256 for each in node.constvalue), "little", signed=True)


def conjuncts(condition: Any) -> Iterator[Node]:  # noqa: ANN401 - a node, or None
    """Yield what must all be true."""
    if condition is not None and condition.label == "BOOLEXPR" and condition.boolop == "and":
        for each in condition.args:
            yield from conjuncts(each)
    elif condition is not None and not (condition.label == "CONST" and condition.constvalue[:1] == [1]):
        yield condition


def bare(node: Node) -> Node:
    """Return what is below casts that change no value, such as that of varchar to text."""
    while node.label == "RELABELTYPE":
        node = node.arg
    return node


class _Determined:
    """The relations of a query that have a single row, and the columns with a single value."""

    def __init__(self, scope: Scope, fixed: Fixed) -> None:
        self._scope = scope
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
    def all_single(self) -> bool:
        """Whether all relations have a single row, so that what they are joined to has."""
        parts = [node for node, level in walk(self._scope.query.jointree) if level == 0]
        if any(node.label == "JOINEXPR" and node.jointype == FULL for node in parts):
            return False
        return all(node.rtindex in self.single for node in parts if node.label == "RANGETBLREF")

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

    def _is_single(self, number: int) -> bool:
        relation = self._scope.relation(number)
        fixed = frozenset(column - 1 for of, column in self._columns if of == number)
        if relation.rtekind == TABLE and relation.relkind != "v":
            return any(self._fixes_key(number, key) for key in self._scope.catalogue.keys.get(relation.relid, []))
        if relation.rtekind == VALUES:
            return len(relation.values_lists) == 1
        if relation.rtekind == RESULT:
            return True
        if relation.rtekind == FUNCTION and not any(each.funcexpr.funcretset for each in relation.functions):
            return True
        if relation.rtekind == CTE and self._scope.outer(relation.ctelevelsup).cte(relation.ctename).cterecursive:
            return False
        source = self._scope.source(number)
        return source is not None and at_most_one(source, fixed)

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


class _Certain:
    """The parts of `from` that surely have a row."""

    def __init__(self, scope: Scope, judge: Judges, *, of_session: bool) -> None:
        self._scope = scope
        self._judge = judge
        self._of_session = of_session
        self._sessions = [
            column for condition, _ in scope.conditions() for column in self._session_columns(condition).values()
        ]

    def rows(self, part: Node) -> bool:
        """Tell whether a part of `from` surely has a row."""
        if part.label == "RANGETBLREF":
            return self._relation(part.rtindex)
        if part.label == "JOINEXPR" and part.jointype != INNER:
            preserved = [part.rarg] if part.jointype == RIGHT else [part.larg]
            return any(self.rows(side) for side in preserved + ([part.rarg] if part.jointype == FULL else []))
        sides = [part.larg, part.rarg] if part.label == "JOINEXPR" else part.fromlist or []
        return self._joined(sides, list(self._filters(part.quals)))

    def _filters(self, condition: Any) -> Iterator[Node]:  # noqa: ANN401 - a node, or None
        """Yield what limits the rows, where those of the session are taken for granted."""
        of_session = self._session_columns(condition)
        for each in conjuncts(condition):
            if self._of_session and _gets_session([each]):
                continue
            variable, parameter = self._given(each)
            if parameter not in of_session:
                yield each
            elif variable.varno != of_session[parameter].varno:
                # `user_model.id = $2` says the same as `user_model.id = caller.user_id`, if that is $2, too.
                yield Node(each.label, {**each.fields, "args": [variable, of_session[parameter]]})

    def _session_columns(self, condition: Any) -> dict[int, Node]:  # noqa: ANN401 - a node, or None
        """Return the columns that parameters fix in the relation that `$1`, the session, is looked up in."""
        given = [self._given(each) for each in conjuncts(condition)] if self._of_session else []
        sessions = {variable.varno for variable, parameter in given if parameter == 1}
        return {parameter: variable for variable, parameter in given if parameter and variable.varno in sessions}

    def _given(self, condition: Node) -> tuple[Node, int]:
        """Return the column and the parameter of an equation; 0 if it is none of both."""
        sides = [bare(each) for each in condition.args or []] if self._is_equation(condition) else []
        for one, other in (sides, sides[::-1]) if sides else ():
            if one.label == "VAR" and other.label == "PARAM":
                return one, other.paramid
        return condition, 0

    def _is_equation(self, condition: Node) -> bool:
        return condition.label == "OPEXPR" and condition.opno in self._scope.catalogue.equalities

    def _joined(self, sides: list[Node], conditions: list[Node]) -> bool:
        """Tell whether parts that are joined have a row: foreign keys promise one for each condition."""
        certain = [side for side in sides if self.rows(side)]
        others = [side for side in sides if side not in certain]
        while others:
            found = next((side for side in others if self._promised(side, conditions)), None)
            if found is None:
                return False
            others.remove(found)
            conditions = [each for each in conditions if found.rtindex not in _relations([each])]
        return bool(certain or not sides) and not conditions

    def _promised(self, side: Node, conditions: list[Node]) -> bool:
        """Tell whether a table's conditions are those of a foreign key that leads to it, or find the same row again."""
        if side.label != "RANGETBLREF" or self._scope.relation(side.rtindex).rtekind != TABLE:
            return False
        its = [each for each in conditions if side.rtindex in _relations([each])]
        pairs: set[tuple[int, int, int]] = set()
        for each in its:
            found = self._reference(each, side.rtindex)
            if found is None:
                return False
            pairs.add(found)
        target = self._scope.relation(side.rtindex).relid
        itself = all(table == target and column == other for table, column, other in pairs)
        return itself or any(_is_of(key, target, pairs) for key in self._scope.catalogue.foreign_keys)

    def _reference(self, condition: Node, number: int) -> tuple[int, int, int] | None:
        """Return the table and column that a column of relation `number` is equated with, and that column."""
        if not self._is_equation(condition):
            return None
        one, other = (bare(each) for each in condition.args)
        if one.label != "VAR" or other.label != "VAR":
            return None
        here, there = (one, other) if one.varno == number and not one.varlevelsup else (other, one)
        if there.varno == number or not self._judge.expression(self._scope, there).never:
            return None
        shown = origin(self._scope, there)
        return (*shown, here.varattno) if shown else None

    def _relation(self, number: int) -> bool:
        relation = self._scope.relation(number)
        if any(number == column.varno for column in self._sessions):
            return True
        if relation.rtekind in {VALUES, RESULT}:
            return True
        if relation.rtekind == FUNCTION:
            calls = [each.funcexpr for each in relation.functions]
            if not any(each.funcretset for each in calls) or (self._of_session and _gets_session(calls)):
                return True
        if relation.rtekind == CTE and self._scope.outer(relation.ctelevelsup).cte(relation.ctename).cterecursive:
            return False
        source = self._scope.source(number)
        return source is not None and at_least_one(source, self._judge, of_session=self._of_session)


def _gets_session(calls: Iterable[Node]) -> bool:
    """Tell whether a function is given `$1`: whether a session is alive is taken for granted."""
    arguments = [argument for call in calls if call.label == "FUNCEXPR" for argument in call.args or []]
    return any(each.label == "PARAM" and each.paramkind == 0 and each.paramid == 1 for each in arguments)


def _relations(nodes: list[Node]) -> set[int]:
    return {node.varno for node, level in walk(nodes) if node.label == "VAR" and node.varlevelsup == level}


def _is_of(key: ForeignKey, target: int, pairs: set[tuple[int, int, int]]) -> bool:
    wanted = {(key.table, column, other) for column, other in zip(key.columns, key.target_columns, strict=True)}
    return key.target == target and wanted == pairs


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
