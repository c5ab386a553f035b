"""Whether a query always returns a row: nothing filters its rows, or a foreign key guarantees the match of a join."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.catalogue import Catalogue, ForeignKey
from service.sqlcheck.analysis.joins import OuterJoin
from service.sqlcheck.analysis.nullability import UNKNOWN
from service.sqlcheck.analysis.query_parts import conjuncts, has_row_without_input, is_table
from service.sqlcheck.analysis.query_tree import Node, constant_integer
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.analysis.written_rows import is_changed_elsewhere, is_intercepted

if TYPE_CHECKING:
    from service.sqlcheck.analysis.nullability_inference import NullabilityInference as Inference


def returns_at_least_one(scope: Scope, inference: "Inference", *, valid_session: bool = False) -> bool:
    """Return whether a query always returns a row.

    :param valid_session: assume that the session is valid, so the function that is passed `$1` returns a row, and that
        a limit which is a parameter is above 0
    """
    query = scope.query
    limit = constant_integer(query.limitCount) if query.limitCount else 1
    if (
        query.limitOffset
        or not (valid_session if limit is None else limit > 0)
        or query.havingQual
        or any(each.waitPolicy == pg.SKIP_LOCKED for each in query.rowMarks or [])
    ):
        return False
    if has_row_without_input(query):
        return not query.hasTargetSRFs
    if query.setOperations:
        return _some_arm(scope, query.setOperations, inference, valid_session=valid_session)
    conflict = query.onConflict
    if (
        query.hasTargetSRFs
        or (query.commandType == pg.MERGE and not _merges_each(query))
        or (conflict and (conflict.action != pg.DO_UPDATE or conflict.onConflictWhere))
        or (query.resultRelation and (is_intercepted(scope, only_skipped=True) or is_changed_elsewhere(scope)))
    ):
        return False
    return _GuaranteedRows(scope, inference, valid_session=valid_session).has_row(query.jointree)


def _merges_each(query: Node) -> bool:
    """Return whether a MERGE writes a row for each row of its source, matched or not."""
    always = {each.matchKind for each in query.mergeActionList if each.qual is None}
    writes = all(each.commandType != pg.NOTHING for each in query.mergeActionList)
    return writes and always >= {pg.MATCHED, pg.NOT_MATCHED_BY_TARGET}


def unmatched_by(join: OuterJoin, inference: "Inference") -> frozenset[frozenset[OuterJoin]]:
    """Return the sets of outer joins that together leave a preserved row of an outer join without a match.

    A foreign key or `… join … on true` guarantees a match: then only others, if they make the foreign key null.
    """
    itself = frozenset({frozenset({join})})
    missing = join.node.rarg if join.preserved is join.node.larg else join.node.larg
    # With FOR UPDATE, a row that another transaction has changed meanwhile is joined to the rows that matched before.
    if join.scope.query.rowMarks:
        return itself
    conditions = list(conjuncts(join.node.quals))
    rows = _GuaranteedRows(join.scope, inference, valid_session=False)
    if not conditions:
        return frozenset() if rows.has_row(missing) else itself
    if join.node.jointype == pg.FULL:
        return itself
    referencing = rows.referencing(missing, conditions)
    nulls = inference.null_if_any(join.scope, referencing) if referencing else UNKNOWN
    return nulls.outer_joins if nulls.known and not nulls.reason else itself


def _some_arm(scope: Scope, node: Node, inference: "Inference", *, valid_session: bool) -> bool:
    if node.label == "RANGETBLREF":
        arm = scope.child(scope.relation(node.rtindex).subquery)
        return returns_at_least_one(arm, inference, valid_session=valid_session)
    arms = node.larg, node.rarg
    return node.op == pg.UNION and any(_some_arm(scope, arm, inference, valid_session=valid_session) for arm in arms)


class _GuaranteedRows:
    """The parts of a FROM clause that always have a row."""

    def __init__(self, scope: Scope, inference: "Inference", *, valid_session: bool) -> None:
        self._scope = scope
        self._inference = inference
        self._valid_session = valid_session
        self._session_relations = {
            column.varno
            for condition, _ in scope.joins.conditions()
            for column in self._session_columns(condition).values()
        }

    def has_row(self, part: Node) -> bool:
        """Return whether a part of the FROM clause always has a row."""
        if part.label == "RANGETBLREF":
            return self._relation_has_row(part.rtindex)
        if part.label == "JOINEXPR" and part.jointype != pg.INNER:
            return self.has_row(part.rarg if part.jointype == pg.RIGHT else part.larg)
        sides = [part.larg, part.rarg] if part.label == "JOINEXPR" else part.fromlist or []
        return self._join_has_row(sides, list(self._filters(part.quals)))

    def _is_guaranteed(self, side: Node, conditions: list[Node]) -> bool:
        """Return whether the conditions on a table find a row of it for each row of the others."""
        about_it = [each for each in conditions if side.rtindex in self._scope.relations_in(each)]
        columns = self.referencing(side, about_it)
        return bool(columns) and all(map(self._is_never_null, columns))

    def referencing(self, side: Node, conditions: list[Node]) -> list[Node]:
        """Return the columns of a row that are a foreign key to a table, or find its row again; otherwise nothing."""
        table = self._scope.relation(side.rtindex)
        if table.tablesample or not table.inh:
            return []
        catalogue = self._scope.catalogue
        if table.relid in catalogue.secured:  # a policy can hide the row, which a view's owner sees
            return []
        columns: list[Node] = []
        rows: set[tuple[Scope, int]] = set()
        pairs: dict[tuple[int, int, int], frozenset[int]] = {}
        for each in conditions:
            here, there = self._reference(each, side.rtindex)
            origin = self._scope.column_origin(there) if there else None
            if there is None or origin is None:
                return []
            around, column = origin
            columns.append(there)
            rows.add((around, column.varno))
            of = around.relation(column.varno).relid
            pairs[of, column.varattno, here.varattno] = catalogue.equalities[each.opno]
        itself = all(of == table.relid and one == other for of, one, other in pairs)
        found = itself or any(_consists_of(key, table.relid, pairs, catalogue) for key in catalogue.foreign_keys)
        return columns if found and len(rows) == 1 else []

    def _filters(self, condition: Any) -> Iterator[Node]:  # noqa: ANN401 - a node, or None
        """Yield the conditions that can filter out rows, except those that find the session."""
        session_columns = self._session_columns(condition)
        for each in conjuncts(condition):
            if self._valid_session and _looks_up_session([each]):
                continue
            variable, parameter = self._parameter_equation(each)
            if parameter not in session_columns:
                yield each
            elif variable.varno != session_columns[parameter].varno:
                # `user_model.id = $2` means the same as `user_model.id = caller.user_id`, if that is $2, too.
                yield Node(each.label, {**each.fields, "args": [variable, session_columns[parameter]]})

    def _session_columns(self, condition: Any) -> dict[int, Node]:  # noqa: ANN401 - a node, or None
        """Return, by parameter, the columns that parameters fix in the relation in which `$1` finds the session."""
        if not self._valid_session:
            return {}
        pairs = [self._parameter_equation(each) for each in conjuncts(condition)]
        sessions = {each.varno for each, parameter in pairs if parameter == 1 and self._is_own(each)}
        return {parameter: variable for variable, parameter in pairs if parameter and variable.varno in sessions}

    def _is_own(self, variable: Node) -> bool:
        """Return whether a column equated with `$1` is the session's own key: other columns can have no row for it."""
        scope, column = self._scope.column_origin(variable, written=True) or (self._scope, variable)
        table, number = scope.relation(column.varno), column.varattno
        keys, foreign_keys = scope.catalogue.keys.get(table.relid, []), scope.catalogue.foreign_keys
        return (
            (not is_table(table) or any(number in key.columns for key in keys))
            and not any(key.table == table.relid and number in key.columns for key in foreign_keys)
            and not self._scope.joins.outer_joins(variable.varno, filtered=False)
        )

    def _parameter_equation(self, condition: Node) -> tuple[Node, int]:
        """Return the column and the parameter that a condition equates; 0 for any other condition."""
        for one, other in self._scope.equated(condition):
            if one.label == "VAR" and not one.varlevelsup and other.label == "PARAM":
                return one, other.paramid
        return condition, 0

    def _join_has_row(self, sides: list[Node], conditions: list[Node]) -> bool:
        """Return whether the join of `sides` always has a row: for each condition, a foreign key guarantees one."""
        certain = [side for side in sides if self.has_row(side)]
        others = [side for side in sides if side not in certain]
        while others:
            side = next((side for side in others if self._is_guaranteed(side, conditions)), None)
            if side is None:
                return False
            others.remove(side)
            conditions = [each for each in conditions if side.rtindex not in self._scope.relations_in(each)]
        return not conditions

    def _reference(self, condition: Node, number: int) -> tuple[Node, Node | None]:
        """Return a column of relation `number` and the column of another that a condition equates with it, or None."""
        for here, there in self._scope.equated(condition):
            if not (here.label == there.label == "VAR" and here.varno == number) or here.varlevelsup:
                continue
            around = self._scope.ancestor(there.varlevelsup)
            # A row around this query can be newer than the rows that this query finds.
            changed = around.query.resultRelation or around.locks_rows
            if not changed if there.varlevelsup else there.varno != number:
                return here, there
        return condition, None

    def _is_never_null(self, variable: Node) -> bool:
        """Return whether a column is never null before the conditions, which filter nulls out."""
        if variable.varlevelsup:
            return self._inference.expression(self._scope, variable).never_null
        declared = self._inference.column(self._scope, variable).never_null
        return declared and not self._scope.joins.outer_joins(variable.varno, filtered=False)

    def _relation_has_row(self, number: int) -> bool:
        relation = self._scope.relation(number)
        if number in self._session_relations or relation.rtekind in {pg.VALUES, pg.RESULT}:
            return True
        if relation.rtekind == pg.FUNCTION:
            calls = [each.funcexpr for each in relation.functions]
            if not any(each.funcretset for each in calls) or (self._valid_session and _looks_up_session(calls)):
                return True
        if self._scope.is_recursive(number):
            return False
        source = self._scope.source(number)
        return (
            source is not None
            and self._inference.null_if_any(self._scope, source.required).never_null
            and returns_at_least_one(
                source, self._inference, valid_session=self._valid_session and not relation.functions
            )
        )


def _looks_up_session(calls: Iterable[Node]) -> bool:
    """Return whether a function is passed `$1`, the session."""
    arguments = [argument for call in calls if call.label == "FUNCEXPR" for argument in call.args or []]
    return any(each.paramid == 1 for each in arguments)


def _consists_of(
    key: ForeignKey, target: int, pairs: Mapping[tuple[int, int, int], frozenset[int]], catalogue: Catalogue
) -> bool:
    """Return whether the columns of a foreign key to `target` are exactly `pairs`, compared as the key compares them.

    With PERIOD, it has another operator, because several rows together can be the referenced one.
    """
    columns = [(key.table, *its) for its in zip(key.columns, key.target_columns, strict=True)]
    return (
        key.target == target
        and {*columns} == pairs.keys()
        and all(
            pairs[each] & catalogue.equalities.get(operator, frozenset())
            for each, operator in zip(columns, key.operators, strict=True)
        )
    )
