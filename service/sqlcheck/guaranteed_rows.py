"""Whether a query surely returns a row: nothing filters, or a foreign key promises the partner of a join."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from service.sqlcheck.cardinality import aggregates_all, bare, number_in, origin
from service.sqlcheck.catalogue import ForeignKey
from service.sqlcheck.node_tree import Node, walk
from service.sqlcheck.scope import (
    CTE,
    FULL,
    FUNCTION,
    INNER,
    INSERT,
    MERGE,
    RESULT,
    RIGHT,
    TABLE,
    VALUES,
    OuterJoin,
    Scope,
    conjuncts,
)

DO_UPDATE = 2  # OnConflictAction
UNION = 1  # SetOperation


class Judgement(Protocol):
    """What nullability says of an expression."""

    @property
    def never(self) -> bool:
        """Whether there is no null."""


class Judges(Protocol):
    """What judges nullability; it asks here in its turn."""

    def expression(self, scope: Scope, node: Node) -> Judgement:
        """Judge an expression."""


def at_least_one(scope: Scope, judge: Judges, *, of_session: bool = False) -> bool:
    """Tell whether a query surely returns a row.

    :param of_session: take it for granted that the function that gets `$1` returns a row: the session is alive
    """
    query = scope.query
    if query.limitOffset or (query.limitCount and not (number_in(query.limitCount) or 0) > 0) or query.havingQual:
        return False
    if aggregates_all(query):
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


def has_partner(join: OuterJoin, judge: Judges) -> bool:
    """Tell whether the condition of an outer join is a foreign key that each row of the preserved side has."""
    missing = join.node.rarg if join.preserved is join.node.larg else join.node.larg
    certain = _Certain(join.scope, judge, of_session=False)
    conditions = list(conjuncts(join.node.quals))
    if join.node.jointype == FULL or missing.label != "RANGETBLREF":
        return False
    return all(missing.rtindex in _relations([each]) for each in conditions) and certain.promised(missing, conditions)


def _some_arm(scope: Scope, node: Node, judge: Judges, *, of_session: bool) -> bool:
    if node.label == "RANGETBLREF":
        return at_least_one(scope.child(scope.relation(node.rtindex).subquery), judge, of_session=of_session)
    return node.op == UNION and any(
        _some_arm(scope, arm, judge, of_session=of_session) for arm in (node.larg, node.rarg)
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
            found = next((side for side in others if self.promised(side, conditions)), None)
            if found is None:
                return False
            others.remove(found)
            conditions = [each for each in conditions if found.rtindex not in _relations([each])]
        return bool(certain or not sides) and not conditions

    def promised(self, side: Node, conditions: list[Node]) -> bool:
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
        itself = bool(pairs) and all(table == target and column == other for table, column, other in pairs)
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
