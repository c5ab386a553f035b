"""Nullability: which columns of a result can be null, by the query as PostgreSQL analyses it, and by its catalogue.

A column is not null if its table says so and no outer join lies between the table and the result, or if a condition
rules it out. Expressions are judged by the functions and operators that PostgreSQL has resolved them to, so an own
function that has the name of one of PostgreSQL's is not taken for it. Views, CTEs, and functions in SQL are followed.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import attrs

from service.sqlcheck import calls
from service.sqlcheck.catalogue import Column
from service.sqlcheck.guaranteed_rows import DO_UPDATE, at_least_one, has_partner
from service.sqlcheck.node_tree import Node, same
from service.sqlcheck.nullability import NEVER, UNKNOWN, Nullability, any_of, none_of
from service.sqlcheck.scope import (
    CASTS,
    CTE,
    DELETE,
    FUNCTION,
    GROUP,
    INSERT,
    JOIN,
    MERGE,
    TABLE,
    UPDATE,
    VALUES,
    OuterJoin,
    Scope,
    Variable,
)

EXISTS, ALL, ANY, EXPRESSION, ARRAY = 0, 1, 2, 4, 6  # SubLinkType
UNION, INTERSECT, EXCEPT = 1, 2, 3  # SetOperation
CURRENT_SCHEMA = 14  # SQLValueFunctionOp
OLD, NEW = 1, 2  # VarReturningType
NOT_MATCHED_BY_SOURCE = 1  # MergeMatchKind
NO_NULLS = b"\0\0\0\0"  # an array's offset of its bitmap of nulls


class Judge:
    """Judges expressions of one statement; `parameters` says which of its parameters may be null."""

    def __init__(self, parameters: Sequence[bool]) -> None:
        self._parameters = parameters
        self._columns: dict[int, list[Nullability]] = {}
        # Of recursive queries that are being judged: what their columns are taken for.
        self._assumed: dict[int, list[Nullability]] = {}
        # Columns that the condition of a CASE or a FILTER rules null out of, with their scopes.
        self._present: set[tuple[int, Variable]] = set()
        self._partners: dict[int, bool] = {}
        # While what an update writes is judged: there its columns are those of the old row.
        self._writing = False

    def columns(self, scope: Scope) -> list[Nullability]:
        """Judge each column of a query's result."""
        if id(scope) not in self._columns:
            self._columns[id(scope)] = self._judge(scope)
        return self._columns[id(scope)]

    def _judge(self, scope: Scope) -> list[Nullability]:
        query = scope.query
        if query.setOperations:
            return self._set_operation(scope, query.setOperations)
        found = [self.expression(scope, target.expr) for target in scope.targets]
        if query.groupingSets:
            # Of a row that sums up others, each column that is not grouped by is null.
            known = [target.expr.label in {"AGGREF", "GROUPINGFUNC"} for target in scope.targets]
            return [each if each.never and sure else UNKNOWN for each, sure in zip(found, known, strict=True)]
        return found

    def _set_operation(self, scope: Scope, node: Node) -> list[Nullability]:
        if node.label == "RANGETBLREF":
            return self.columns(scope.child(scope.relation(node.rtindex).subquery))
        left, right = self._set_operation(scope, node.larg), self._set_operation(scope, node.rarg)
        if node.op == EXCEPT:
            return left
        return [(none_of if node.op == INTERSECT else any_of)(pair) for pair in zip(left, right, strict=True)]

    def _recursive(self, scope: Scope) -> list[Nullability]:
        """Judge a query that reads itself: suppose that it has no nulls, until no more are found."""
        if id(scope) in self._assumed:
            return self._assumed[id(scope)]
        known = dict(self._columns)
        assumed = [Nullability(elements=True)] * len(scope.targets)
        while True:
            self._assumed[id(scope)] = assumed
            found = self.columns(scope)
            self._columns = dict(known)
            if found == assumed:
                del self._assumed[id(scope)]
                self._columns[id(scope)] = found
                return found
            assumed = [any_of(pair) for pair in zip(found, assumed, strict=True)]

    def expression(self, scope: Scope, node: Node) -> Nullability:  # noqa: C901, PLR0911, PLR0912 - a table of cases
        """Judge an expression of a query."""
        if node.label in {"OPEXPR", "FUNCEXPR"} and any(same(known, node) for known in scope.expressions):
            return NEVER
        match node.label:
            case "VAR":
                return self._variable(scope.outer(node.varlevelsup), node)
            case "PARAM":
                return self._parameter(scope, node)
            case "CONST":
                return _constant(node)
            case "ARRAYEXPR":
                return Nullability(elements=all(self.expression(scope, each).never for each in node.elements or []))
            case "NULLTEST" | "BOOLEANTEST" | "DISTINCTEXPR" | "ROWEXPR" | "GROUPINGFUNC" | "NEXTVALUEEXPR":
                return NEVER
            case "MERGESUPPORTFUNC":
                return NEVER
            case label if label in CASTS:
                return self.expression(scope, node.arg)
            case "SQLVALUEFUNCTION":
                return UNKNOWN if node.op == CURRENT_SCHEMA else NEVER
            case "JSONCONSTRUCTOREXPR":
                return NEVER if node.type in {1, 2} else UNKNOWN  # json_object(), json_array()
            case "COALESCEEXPR" | "MINMAXEXPR":
                return none_of([self.expression(scope, each) for each in node.args])
            case "BOOLEXPR":
                return self.all_of(scope, node.args)
            case "ROWCOMPAREEXPR":
                return self.all_of(scope, [*node.largs, *node.rargs])
            case "CASEEXPR":
                return self._case(scope, node)
            case "OPEXPR":
                return calls.call(self, scope, scope.catalogue.operators[node.opno], node)
            case "FUNCEXPR":
                return calls.function(self, scope, node)
            case "SCALARARRAYOPEXPR":
                found = calls.call(self, scope, scope.catalogue.operators[node.opno], node)
                return found if self.expression(scope, node.args[1]).elements else UNKNOWN
            case "AGGREF":
                return calls.aggregate(self, scope, node)
            case "WINDOWFUNC":
                return calls.window(self, scope, node)
            case "SUBLINK":
                return self._subquery(scope, node)
            case _:
                return UNKNOWN

    def all_of(self, scope: Scope, nodes: Iterable[Node]) -> Nullability:
        return any_of([self.expression(scope, each) for each in nodes])

    @contextmanager
    def given(self, scope: Scope, present: Iterable[Variable]) -> Iterator[None]:
        """Judge in the context what is wanted only where some columns are not null."""
        before = self._present
        self._present = before | {(id(scope), variable) for variable in present}
        try:
            yield
        finally:
            self._present = before

    def assuming(self, scope: Scope, present: Iterable[Variable], node: Node) -> Nullability:
        """Judge an expression that is wanted only where some columns are not null."""
        with self.given(scope, present):
            return self.expression(scope, node)

    def _parameter(self, scope: Scope, node: Node) -> Nullability:
        if node.paramkind:  # what a subquery is compared with, which is judged there
            return NEVER
        around: Scope | None = scope
        while around and not around.caller:
            around = around.parent
        if around and around.caller:
            return self.expression(around.caller, around.arguments[node.paramid - 1])
        if self._parameters[node.paramid - 1]:
            return Nullability(itself=f"${node.paramid} may be null", given=True, elements=True)
        return Nullability(elements=True)

    def _variable(self, scope: Scope, node: Node) -> Nullability:
        relation, variable = scope.relation(node.varno), (node.varno, node.varattno)
        if relation.rtekind in {JOIN, GROUP}:
            unclear = node.varattno <= 0 or scope.query.groupingSets
            return UNKNOWN if unclear else self.expression(scope, scope.meant(node))
        if (id(scope), variable) in self._present:
            return NEVER
        own = self._column(scope, relation, node)
        changed = scope.query.commandType == UPDATE and node.varno == scope.query.resultRelation
        if variable in scope.present and (not changed or self._writing or node.varreturningtype == OLD):
            own = Nullability(elements=own.elements)
        if any(known == id(scope) and there == node.varno for known, (there, _) in self._present):
            return own  # of the same row, another column is there
        joins = {frozenset({join}) for join in scope.joins(node.varno) if not self._has_partner(join)}
        return attrs.evolve(own, joins=own.joins | joins)

    def _has_partner(self, join: OuterJoin) -> bool:
        """Tell whether a foreign key promises a partner to each row, so that the outer join is an inner one."""
        if id(join) not in self._partners:
            self._partners[id(join)] = False  # while it is being asked
            self._partners[id(join)] = has_partner(join, self)
        return self._partners[id(join)]

    def _column(self, scope: Scope, relation: Node, node: Node) -> Nullability:  # noqa: C901, PLR0911 - a table of cases
        """Judge a column of a relation by itself."""
        if row := _missing_row(scope.query, node):
            return Nullability(itself=row)
        if node.varattno <= 0:  # a column of the system, or the row as a whole
            return NEVER
        place = node.varattno - 1
        if relation.rtekind == TABLE and relation.relkind != "v":
            column = scope.catalogue.columns.get((relation.relid, node.varattno))
            if column is None:
                return UNKNOWN
            if column.checked:
                return NEVER
            conflict = scope.query.onConflict
            if conflict and node.varno == conflict.exclRelIndex:
                return self._given(scope, node, column)
            written = self._written(scope, node) if node.varreturningtype != OLD else None
            return written or Nullability(itself=f"{column.table}.{column.name} allows it")
        if relation.rtekind == TABLE and node.varno == scope.query.resultRelation:
            return UNKNOWN  # a view's trigger returns what it likes
        if relation.rtekind == VALUES:
            return self.all_of(scope, (row[place] for row in relation.values_lists))
        if relation.rtekind == FUNCTION:
            return calls.from_function(self, scope, relation, place)
        source = scope.source(node.varno)
        if source is None:
            return UNKNOWN
        recursive = relation.rtekind == CTE and scope.outer(relation.ctelevelsup).cte(relation.ctename).cterecursive
        columns = self._recursive(source) if recursive else self.columns(source)
        return columns[place] if place < len(columns) else UNKNOWN  # SEARCH and CYCLE add columns

    def _written(self, scope: Scope, node: Node) -> Nullability | None:
        """Judge a column that an insert or an update returns by what it wrote; None if a trigger may change it."""
        query = scope.query
        table = scope.relation(node.varno)
        if node.varno != query.resultRelation or table.relkind != "r" or table.relid in scope.catalogue.triggers:
            return None
        if query.commandType not in {INSERT, UPDATE}:
            return None
        values = [each.expr for each in query.targetList or [] if each.resno == node.varattno]
        if query.onConflict and query.onConflict.action == DO_UPDATE:
            again = [each.expr for each in query.onConflict.onConflictSet if each.resno == node.varattno]
            values = [*values, *again] if values and again else []
        if self._writing or not values:
            return None
        self._writing = True
        try:
            return self.all_of(scope, values)
        finally:
            self._writing = False

    def _given(self, scope: Scope, node: Node, column: Column) -> Nullability:
        """Judge a column of `excluded`: what the insert would have written."""
        values = [each.expr for each in scope.query.targetList if each.resno == node.varattno]
        return self.all_of(scope, values) if values else Nullability(itself=f"{column.table}.{column.name} allows it")

    def _case(self, scope: Scope, node: Node) -> Nullability:
        found: list[Nullability] = []
        passed: set[Variable] = set()
        for when in node.args:
            present = passed | (set() if node.arg else scope.strict(when.expr))
            found.append(self.assuming(scope, present, when.result))
            passed |= set() if node.arg else scope.strict_if_false(when.expr)
        if node.defresult is None or calls.is_null(node.defresult):
            return UNKNOWN
        return any_of([*found, self.assuming(scope, passed, node.defresult)])

    def _subquery(self, scope: Scope, node: Node) -> Nullability:
        inner = scope.child(node.subselect)
        match node.subLinkType:
            case kind if kind == EXISTS:
                return NEVER
            case kind if kind == ARRAY:
                return Nullability(elements=self.columns(inner)[0].never)
            case kind if kind == EXPRESSION:
                return self.columns(inner)[0] if at_least_one(inner, self) else UNKNOWN
            case kind if kind in {ANY, ALL}:
                return any_of([self.expression(scope, node.testexpr), *self.columns(inner)])
            case _:
                return UNKNOWN


def _missing_row(query: Node, node: Node) -> str:
    """Say why there may be no row that a column of a change stands for."""
    if node.varno == query.resultRelation:
        missing = {INSERT: {OLD}, DELETE: {NEW}, MERGE: {OLD, NEW}}.get(query.commandType, set())
        which = "old" if node.varreturningtype == OLD else "new"
        return f"there may be no {which} row" if node.varreturningtype in missing else ""
    merged = query.commandType == MERGE and any(
        action.matchKind == NOT_MATCHED_BY_SOURCE for action in query.mergeActionList
    )
    return "the source may have no row" if merged else ""


def _constant(node: Node) -> Nullability:
    if node.constisnull:
        return Nullability(itself="null", given=True)
    # Of an array: its length, its dimensions, and where the bitmap of its nulls is; 0: it has none.
    return Nullability(elements=bytes(each % 256 for each in node.constvalue[8:12]) == NO_NULLS)
