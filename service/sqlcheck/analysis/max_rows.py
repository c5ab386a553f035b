"""The maximum number of rows of a query: one, or at least a bounded number.

A query returns at most one row if its conditions fix a unique key of each relation, or because of `limit 1` or an
aggregate.
"""

from collections.abc import Iterator
from typing import Any

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.catalogue import Key
from service.sqlcheck.analysis.not_null import as_variable
from service.sqlcheck.analysis.query_parts import aggregates_all, conjuncts, is_table, joined_relations
from service.sqlcheck.analysis.query_tree import (
    Node,
    constant_integer,
    own_variables,
    same,
    strip_relabels,
    type_of,
    walk,
)
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.analysis.written_rows import is_kept

Columns = frozenset[tuple[int, int]]  # each a column (from 0), and a family of operators that find its values equal


def returns_at_most_one(scope: Scope) -> bool:
    """Return whether a query returns at most one row."""
    return _is_limited(scope, frozenset(), bounded=False)


def is_bounded(scope: Scope) -> bool:
    """Return whether a query returns a bounded number of rows: a limit, or one row for each value of a parameter."""
    return _is_limited(scope, frozenset(), bounded=True)


def _is_limited(scope: Scope, fixed: Columns, *, bounded: bool) -> bool:  # noqa: PLR0911 - one return per case
    """Return whether a query returns at most one row for each value of its `fixed` columns.

    :param bounded: accept any bounded number of rows
    """
    query = scope.query
    is_limit = query.limitCount and not query.limitOption  # WITH TIES returns all rows that are equal to the last one
    if is_limit and (bounded or constant_integer(query.limitCount) == 1):
        return True
    if (query.hasTargetSRFs and not bounded) or scope.is_replaced:
        return False
    if query.commandType == pg.MERGE:
        return _merges_few(scope, bounded=bounded)
    if aggregates_all(query) and not query.hasTargetSRFs:
        return True
    if query.setOperations:
        return _is_limited_set(scope, query.setOperations, fixed, bounded=bounded)
    dependencies = FunctionalDependencies(scope, fixed, bounded=bounded)
    if query.hasTargetSRFs and query.hasAggs:  # `unnest(array_agg(id))` returns the rows again
        return dependencies.has_single_row(query.jointree)
    # Each row of a table is changed, and returned, once; an INSTEAD OF trigger of a view runs for each joined row.
    if query.commandType in {pg.UPDATE, pg.DELETE} and is_table(scope.relation(query.resultRelation)):
        return query.resultRelation in dependencies.single_row
    if query.groupingSets:
        return False
    return _has_fixed_key(scope, fixed, dependencies, bounded=bounded) or dependencies.has_single_row(query.jointree)


def _has_fixed_key(scope: Scope, fixed: Columns, dependencies: "FunctionalDependencies", *, bounded: bool) -> bool:
    """Return whether the keys of GROUP BY or DISTINCT are fixed, or those of the partition of a fixed row_number()."""
    query = scope.query
    entries = {each.ressortgroupref: each for each in query.targetList or []}
    positions = {id(each): position for position, each in enumerate(scope.targets)}

    def is_fixed(key: Node) -> bool:
        entry, families = entries[key.tleSortGroupRef], scope.catalogue.families(key.eqop)
        given = any((positions.get(id(entry)), family) in fixed for family in families)
        given |= bounded and type_of(entry.expr) in scope.catalogue.enumerated
        return given or dependencies.is_constant(entry.expr, families)

    calls = [scope.targets[position].expr for position, _ in fixed]
    numbered = [each.winref for each in calls if scope.catalogue.builtin_name(each.winfnoid) == "row_number"]
    partitions = [each.partitionClause or [] for each in query.windowClause or [] if each.winref in numbered]
    keys = [query.groupClause or query.distinctClause, *partitions]
    return any(all(map(is_fixed, each)) for each in keys if each is not None)


def _merges_few(scope: Scope, *, bounded: bool) -> bool:
    """Return whether a MERGE has one row to merge, which is merged into one row at most."""
    query, rows = scope.query, FunctionalDependencies(scope, bounded=bounded)
    return (
        all(each.matchKind != pg.NOT_MATCHED_BY_SOURCE for each in query.mergeActionList)
        and rows.has_single_row(query.jointree)
        and rows.finds_single_row(query.resultRelation, query.mergeJoinCondition)
    )


def _is_limited_set(scope: Scope, node: Node, fixed: Columns, *, bounded: bool) -> bool:
    """Return whether a set operation has at most one row for each value of its `fixed` columns."""
    if node.label == "RANGETBLREF":
        return _is_limited(scope.child(scope.relation(node.rtindex).subquery), fixed, bounded=bounded)
    if not node.all and all(
        any((position, family) in fixed for family in scope.catalogue.families(key.eqop))
        for position, key in enumerate(node.groupClauses or ())
    ):
        return True
    left, right = (_is_limited_set(scope, arm, fixed, bounded=bounded) for arm in (node.larg, node.rarg))
    return {pg.UNION: bounded and left and right, pg.INTERSECT: left or right, pg.EXCEPT: left}[node.op]


def _is_repeatable(scope: Scope, query: Node) -> bool:
    """Return whether a query returns the same rows again if a nested loop repeats it; `limit` or locks can differ."""
    nodes = [node for node, _ in walk(query)]
    limited = any(each.limitCount or each.rowMarks or each.functions or each.relkind == "v" for each in nodes)
    return not limited and not scope.is_volatile(query)


class FunctionalDependencies:
    """The relations of a query with a single row, and the columns with a single value, as its conditions imply.

    :param fixed: result columns with a single value
    :param bounded: treat any bounded number of rows or values as a single one
    """

    def __init__(self, scope: Scope, fixed: Columns = frozenset(), *, bounded: bool = False) -> None:
        self._scope = scope
        self._bounded = bounded
        self._columns: set[tuple[int, int, int]] = set()  # relation, column, and family
        self.single_row: set[int] = set()
        self._conditions = [
            (each, relations) for condition, relations in scope.joins.conditions() for each in conjuncts(condition)
        ]
        for number, relation in enumerate(scope.query.rtable or [], 1):
            constant = scope.catalogue.constant_columns.get(relation.relid, ())
            self._columns |= {(number, column, family) for column, family in constant}
        for position, family in fixed:
            expression = self._scope.without_alias(scope.targets[position].expr)
            if not expression.varlevelsup and self._is_read(expression):
                self._columns.add((expression.varno, expression.varattno, family))
        self._derive()

    def has_single_row(self, part: Node) -> bool:
        """Return whether a part of the FROM clause has a single row: all its relations do, without a full join."""
        adds_row = not self._bounded and any(node.jointype == pg.FULL and not level for node, level in walk(part))
        return not adds_row and self.single_row.issuperset(joined_relations(part))

    def finds_single_row(self, number: int, condition: Node) -> bool:
        """Return whether a condition finds a single row of another relation."""
        self._conditions += [(each, frozenset({number})) for each in conjuncts(condition)]
        self._derive()
        return number in self.single_row

    def is_constant(self, node: Node, families: frozenset[int] = frozenset()) -> bool:
        """Return whether an expression has a single value.

        :param families: those of the operator that finds the values equal; none if they must be identical
        """
        itself = self._scope.without_alias(node)
        if itself.label == "VAR" and not itself.varlevelsup:
            return self._has_single_value(itself, families)
        if any(each.label in {"AGGREF", "WINDOWFUNC"} and level == 0 for each, level in walk(itself)):
            return False
        return not self._scope.is_volatile(itself) and not self._varies(itself)

    def _has_single_value(self, variable: Node, families: frozenset[int] = frozenset()) -> bool:
        joins = self._scope.joins.outer_joins(variable.varno)
        if any(each.node.jointype == pg.FULL or not self.has_single_row(each.preserved) for each in joins):
            return False
        accepted = families | self._scope.catalogue.exact
        column = variable.varno, variable.varattno
        return variable.varno in self.single_row or any((*column, family) in self._columns for family in accepted)

    def _is_read(self, variable: Node) -> bool:
        """Return whether a returned column is of the row that the conditions are about, or has the same value."""
        query, (relation, _, row) = self._scope.query, as_variable(variable)
        if relation != query.resultRelation:
            return True
        if query.commandType == pg.UPDATE:
            return is_kept(self._scope, variable)
        return row != {pg.INSERT: pg.OLD, pg.DELETE: pg.NEW}.get(query.commandType, row)

    def _derive(self) -> None:
        before = (-1, -1)
        while before != (len(self.single_row), len(self._columns)):
            before = (len(self.single_row), len(self._columns))
            for condition, relations in self._conditions:
                for one, other, families in self._equated(condition):
                    if one.varno in relations and not one.varlevelsup and self.is_constant(other, families):
                        self._columns |= {(one.varno, one.varattno, family) for family in families}
            for number, relation in enumerate(self._scope.query.rtable or [], 1):
                sources = [relation.subquery, relation.functions, relation.values_lists, relation.tablefunc]
                if number not in self.single_row and self._is_single_row(number) and not self._varies(sources):
                    self.single_row.add(number)
            for condition, relations in self._conditions:
                if self._bounded and condition.boolop == "or":
                    self.single_row |= set.intersection(*(self._if_true(each, relations) for each in condition.args))

    def _if_true(self, arm: Node, relations: frozenset[int]) -> set[int]:
        """Return the relations with a single row if an operand of an `or` is true, regardless of other `or`s."""
        before = self._conditions, self._columns, self.single_row
        simple = [each for each in self._conditions if each[0].label != "BOOLEXPR"]
        self._conditions = simple + [(each, relations) for each in conjuncts(arm)]
        self._columns, self.single_row = {*self._columns}, {*self.single_row}
        self._derive()
        found = self.single_row
        self._conditions, self._columns, self.single_row = before
        return found

    def _equated(self, condition: Node) -> Iterator[tuple[Node, Node, frozenset[int]]]:
        """Yield each side of an equation with the other side and the families of the operator."""
        catalogue = self._scope.catalogue
        for one, other in self._scope.equated(condition):
            yield one, other, catalogue.families(condition.opno, condition.inputcollid)
        for each in self._any(condition):
            one = self._scope.without_alias(each.args[0])
            yield one, each.args[1], catalogue.families(each.opno, each.inputcollid)

    def _any(self, condition: Node) -> list[Node]:
        """Return the comparisons of `= any (…)` if bounded, or of `in` with a query limited in the same way."""
        if condition.useOr and self._bounded:
            return [condition]
        if condition.subLinkType != pg.ANY:
            return []
        query = condition.subselect
        limits = self._bounded or _is_repeatable(self._scope, query)
        limits = limits and _is_limited(self._scope.child(query), frozenset(), bounded=self._bounded)
        tests = [each for each in conjuncts(condition.testexpr) if each.label == "OPEXPR"]
        return tests if limits and not self._varies(query) else []

    def _varies(self, sources: Any) -> bool:  # noqa: ANN401 - a node, or a list of them
        """Return whether an expression, query or function can differ for each row of the relations it refers to."""
        return not all(self._has_single_value(each) for each in own_variables(sources))

    def _is_single_row(self, number: int) -> bool:
        relation = self._scope.relation(number)
        if is_table(relation):
            return any(self._fixes_key(number, key) for key in self._scope.catalogue.keys.get(relation.relid, []))
        if relation.rtekind == pg.VALUES:
            return self._bounded or len(relation.values_lists) == 1
        if relation.rtekind == pg.RESULT or (
            relation.rtekind == pg.FUNCTION and not any(each.funcexpr.funcretset for each in relation.functions)
        ):
            return True
        if self._scope.is_recursive(number):
            return False
        source = self._scope.source(number)
        if source is None:
            return self._bounded and relation.rtekind in {pg.FUNCTION, pg.TABLEFUNC}  # such as unnest($1)
        found = ((self._scope.position(number, column), family) for of, column, family in self._columns if of == number)
        fixed = frozenset((position, family) for position, family in found if position is not None)
        return _is_limited(source, fixed, bounded=self._bounded)

    def _fixes_key(self, number: int, key: Key) -> bool:
        limits = [condition for condition, relations in self._conditions if number in relations]
        expressions = iter(key.expressions)
        return all(any(same(part, each, index=number) for each in limits) for part in conjuncts(key.condition)) and all(
            (number, column, family) in self._columns
            if column
            else self._fixes_expression(number, next(expressions), family)
            for column, family in zip(key.columns, key.families, strict=True)
        )

    def _fixes_expression(self, number: int, expression: Node, family: int) -> bool:
        columns = (Node("VAR", {**each.fields, "varno": number}) for each in own_variables(expression))
        is_known = self._is_total(expression) and all(map(self._has_single_value, columns))
        return is_known or any(
            same(strip_relabels(expression), one, index=number)
            and family in families
            and self.is_constant(other, families)
            for condition, relations in self._conditions
            if number in relations
            for one, other, families in self._equated(condition)
        )

    def _is_total(self, expression: Node) -> bool:
        """Return whether an expression of columns is null only if one of them is: a key can have many nulls."""
        catalogue = self._scope.catalogue
        return all(
            node.label in {"VAR", "RELABELTYPE"}
            or (node.label == "CONST" and not node.constisnull)
            or (node.label == "FUNCEXPR" and node.funcid in catalogue.total_functions)
            or (node.label == "OPEXPR" and catalogue.operators.get(node.opno) in catalogue.total_functions)
            for node, _ in walk(expression)
        )
