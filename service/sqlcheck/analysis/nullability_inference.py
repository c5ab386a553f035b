"""Nullability inference: the columns of a result that can be null, by the analysed query and the catalogue.

A column is not null if its table declares it so and no outer join lies between the table and the result, or if a
condition excludes nulls. Functions and operators are identified by oid, so a user-defined function with the name of a
built-in one is not mistaken for it. Views, CTEs and SQL functions are followed.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import attrs

from service.postgres import Parameter
from service.sqlcheck.analysis import expression_nullability as expressions
from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.assumptions import Assumptions
from service.sqlcheck.analysis.joins import OuterJoin
from service.sqlcheck.analysis.min_rows import unmatched_by
from service.sqlcheck.analysis.nested_arrays import makes_nested
from service.sqlcheck.analysis.not_null import Variable, as_variable
from service.sqlcheck.analysis.nullability import NEVER, UNKNOWN, Nullability, in_array, null_if_all, null_if_any
from service.sqlcheck.analysis.query_parts import is_alias, is_table
from service.sqlcheck.analysis.query_tree import CASTS, Node, constant_bytes, operands, same
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.analysis.written_rows import generated_value, is_kept, missing_row, written_values

NEVER_NULL_LABELS = {
    *("BOOLEANTEST", "DISTINCTEXPR", "GROUPINGFUNC", "MERGESUPPORTFUNC", "NULLTEST", "ROWEXPR"),
    "CASETESTEXPR",  # an element of an array of which each is cast
}
# Expressions that a condition can prove not to be null, beside columns.
COMPUTED = {"AGGREF", "COALESCEEXPR", "FIELDSELECT", "FUNCEXPR", "OPEXPR", "SUBSCRIPTINGREF"}
NULL_IF_ANY_LABELS = CASTS | {"BOOLEXPR", "JSONISPREDICATE", "JSONVALUEEXPR", "ROWCOMPAREEXPR"}
NO_NULLS = b"\0\0\0\0"  # an array's offset of its null bitmap


class NullabilityInference:
    """The nullability of the expressions of one statement.

    :param parameters: the parameters of the statement, as its header declares them
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._parameters = parameters
        self._assumptions = Assumptions()
        # What is inferred holds only for what is assumed meanwhile.
        self._columns: dict[tuple[Scope, Assumptions], list[Nullability]] = {}
        self._unmatched: dict[tuple[OuterJoin, Assumptions], frozenset[frozenset[OuterJoin]]] = {}
        # The supposed columns of recursive queries while they are examined.
        self._recursive: dict[Scope, list[Nullability]] = {}

    def columns(self, scope: Scope) -> list[Nullability]:
        """Return the nullability of each column of a query's result."""
        key = scope, self._assumptions
        if key not in self._columns:
            self._columns[key] = self._infer_columns(scope)
        return self._columns[key]

    def _infer_columns(self, scope: Scope) -> list[Nullability]:
        query = scope.query
        if query.setOperations:
            return self._set_operation(scope, query.setOperations)
        found = [self.expression(scope, target.expr) for target in scope.targets]
        if query.groupingSets and not query.hasGroupRTE:  # before PostgreSQL 18
            # In the row of a grouping set, the columns of the other sets are null.
            known = [target.expr.label in {"AGGREF", "GROUPINGFUNC"} for target in scope.targets]
            return [each if sure else UNKNOWN for each, sure in zip(found, known, strict=True)]
        return found

    def _set_operation(self, scope: Scope, node: Node) -> list[Nullability]:
        if node.label == "RANGETBLREF":
            return self.columns(scope.child(scope.relation(node.rtindex).subquery))
        left, right = self._set_operation(scope, node.larg), self._set_operation(scope, node.rarg)
        if node.op == pg.EXCEPT:
            return left
        combine = null_if_all if node.op == pg.INTERSECT else null_if_any
        return [combine(pair) for pair in zip(left, right, strict=True)]

    def _recursive_columns(self, scope: Scope) -> list[Nullability]:
        """Return the nullability of a recursive query: assume no nulls, and repeat until nothing changes."""
        if scope in self._recursive:
            return self._recursive[scope]
        known, unmatched = dict(self._columns), dict(self._unmatched)
        assumed = [Nullability(elements_not_null=True)] * len(scope.targets)
        while True:
            self._recursive[scope] = assumed
            found = [each.in_another_row() for each in self.columns(scope)]
            self._columns, self._unmatched = dict(known), dict(unmatched)
            if found == assumed:
                del self._recursive[scope]
                self._columns[scope, self._assumptions] = found
                return found
            assumed = [null_if_any(pair) for pair in zip(found, assumed, strict=True)]

    def expression(self, scope: Scope, node: Node) -> Nullability:  # noqa: C901, PLR0911, PLR0912 - one return per case
        """Return the nullability of an expression of a query."""
        if node.label in COMPUTED and any(same(known, node) for known in scope.not_null_expressions):
            return NEVER
        match node.label:
            case "VAR":
                return self._variable(scope.ancestor(node.varlevelsup), node)
            case "PARAM":
                return self._parameter(scope, node)
            case "CONST" if node.constisnull:
                return Nullability(reason="null", from_input=True)
            case "CONST":  # an array begins with its length, its number of dimensions and the offset of its null bitmap
                return Nullability(elements_not_null=constant_bytes(node)[8:12] == NO_NULLS)
            case "ARRAYEXPR":
                values = [self.expression(scope, each) for each in node.elements or []]
                return in_array(values, makes_nested(scope, node))
            case "ARRAYCOERCEEXPR":
                array, element = self.expression(scope, node.arg), self.expression(scope, node.elemexpr)
                return attrs.evolve(array, elements_not_null=array.elements_not_null and element.never_null)
            case "COERCEVIAIO":  # the text of an array can contain nulls
                return attrs.evolve(self.expression(scope, node.arg), elements_not_null=False)
            case label if label in NEVER_NULL_LABELS:
                return NEVER
            case label if label in NULL_IF_ANY_LABELS:
                return self.null_if_any(scope, operands(node))
            case "SUBSCRIPTINGREF" if not node.refassgnexpr:
                return expressions.infer_elements(self, scope, node)
            case "FIELDSELECT":
                return expressions.infer_field(self, scope, node.arg, node.fieldnum - 1)
            case "SQLVALUEFUNCTION":
                return UNKNOWN if node.op == pg.CURRENT_SCHEMA else NEVER
            case "JSONCONSTRUCTOREXPR" if node.func:
                return self.expression(scope, node.func)
            case "JSONCONSTRUCTOREXPR":
                return NEVER if node.type in {pg.JSON_OBJECT, pg.JSON_ARRAY} else self.null_if_any(scope, node.args)
            case "COALESCEEXPR" | "MINMAXEXPR":
                return null_if_all([self.expression(scope, each) for each in node.args])
            case "CASEEXPR":
                return expressions.infer_case(self, scope, node)
            case "OPEXPR":
                return expressions.infer_builtin(self, scope, scope.catalogue.operators[node.opno], node)
            case "FUNCEXPR":
                return expressions.infer_function(self, scope, node)
            case "SCALARARRAYOPEXPR":
                found = expressions.infer_builtin(self, scope, scope.catalogue.operators[node.opno], node)
                return found if self.expression(scope, node.args[1]).elements_not_null else UNKNOWN
            case "AGGREF":
                return expressions.infer_aggregate(self, scope, node)
            case "WINDOWFUNC":
                with self._assuming(
                    attrs.evolve(self._assumptions, not_null=frozenset())
                ):  # its arguments are of other rows, too
                    return expressions.infer_window_function(self, scope, node)
            case "SUBLINK":
                return expressions.infer_subquery(self, scope, node)
            case _:
                return UNKNOWN

    def null_if_any(self, scope: Scope, nodes: Iterable[Node]) -> Nullability:
        """Return the nullability of an expression that is null if any of `nodes` is."""
        return null_if_any([self.expression(scope, each) for each in nodes])

    @contextmanager
    def _assuming(self, assumptions: Assumptions) -> Iterator[None]:
        before, self._assumptions = self._assumptions, assumptions
        try:
            yield
        finally:
            self._assumptions = before

    def assume_not_null(self, scope: Scope, variables: Iterable[Variable]) -> AbstractContextManager[None]:
        """Return a context in which some variables are assumed not to be null."""
        return self._assuming(self._assumptions.with_not_null(scope, variables))

    def expression_assuming(self, scope: Scope, not_null: Iterable[Variable], node: Node) -> Nullability:
        """Return the nullability of an expression that is evaluated only if some columns are not null."""
        with self.assume_not_null(scope, not_null):
            return self.expression(scope, node)

    def _parameter(self, scope: Scope, node: Node) -> Nullability:
        if node.paramkind == pg.OF_SUBQUERY:  # `set (a, b) = (select …)`, which may have no row
            return UNKNOWN
        if node.paramkind:  # the left side of a comparison with a subquery, which is examined there
            return NEVER
        known = self._assumptions.is_not_null(scope, as_variable(node))
        if argument := scope.argument(node):
            return NEVER if known else self.expression(*argument)
        declared = self._parameters[node.paramid - 1]
        found = Nullability(elements_not_null=not declared.null_elements)
        if declared.nullable and not known:
            return attrs.evolve(found, reason=f"${node.paramid} can be null", from_input=True)
        return found

    def _variable(self, scope: Scope, node: Node) -> Nullability:
        relation, variable = scope.relation(node.varno), as_variable(node)
        if self._assumptions.is_not_null(scope, variable):
            return NEVER
        if is_alias(relation):
            unclear = node.varattno <= 0 or (relation.rtekind == pg.GROUP and not scope.is_in_each_set(node))
            return UNKNOWN if unclear else self.expression(scope, scope.aliased_expression(node))
        exists = self._assumptions.has_row(scope, variable)
        if not exists and (reason := missing_row(scope.query, node)):
            return Nullability(reason=reason)
        own = self.column(scope, node)
        if self._is_filtered(scope, node):
            own = Nullability(elements_not_null=own.elements_not_null)
        elif own.reason and (generated := generated_value(scope, node)):
            own = self.expression(scope, generated)
        for number, column, _ in scope.joins.not_null_columns if own.outer_joins else ():
            other = Node("VAR", {**node.fields, "varattno": column, "varlevelsup": 0})
            if number == node.varno and scope.column_origin(other):
                own = own.beside(self.column(scope, other))
        if exists:
            return own
        joins = (self._unmatched_by(join) for join in scope.joins.outer_joins(node.varno))
        return attrs.evolve(own, outer_joins=own.outer_joins.union(*joins))

    def _is_filtered(self, scope: Scope, node: Node) -> bool:
        """Return whether a condition excludes nulls from a column: of old rows, not of those that a rule returns."""
        updated = node.varno == scope.query.resultRelation and scope.query.commandType == pg.UPDATE
        in_old_row = node.varreturningtype == pg.OLD or scope in self._assumptions.writing
        is_old = (in_old_row or not updated or is_kept(scope, node)) and not scope.is_replaced
        return is_old and (node.varno, node.varattno, pg.DEFAULT) in scope.joins.not_null_columns

    def _unmatched_by(self, join: OuterJoin) -> frozenset[frozenset[OuterJoin]]:
        """Return the sets of outer joins that together leave a row of an outer join without a match."""
        key = join, self._assumptions
        if key not in self._unmatched:
            self._unmatched[key] = frozenset({frozenset({join})})  # ends the recursion
            self._unmatched[key] = unmatched_by(join, self)
        return self._unmatched[key]

    def column(self, scope: Scope, node: Node) -> Nullability:  # noqa: PLR0911 - one return per case
        """Return the nullability of a column of a row that exists, regardless of outer joins and conditions."""
        relation = scope.relation(node.varno)
        if node.varattno <= 0:  # a system column, or the whole row
            return NEVER
        place: int = node.varattno - 1
        if node.varno == scope.query.resultRelation and (scope.is_replaced or not is_table(relation)):
            return UNKNOWN  # a rule, or a view's INSTEAD OF trigger, can return anything
        if is_table(relation):
            return self._table_column(scope, relation, node)
        if relation.rtekind == pg.VALUES:
            return self.null_if_any(scope, (row[place] for row in relation.values_lists))
        if relation.rtekind == pg.FUNCTION:
            return expressions.infer_function_column(self, scope, relation, place)
        source = scope.source(node.varno)
        if source is None:
            return UNKNOWN
        infer = self._recursive_columns if scope.is_recursive(node.varno) else self.columns
        columns = infer(source)
        return columns[place] if place < len(columns) else UNKNOWN  # SEARCH and CYCLE add columns

    def _table_column(self, scope: Scope, relation: Node, node: Node) -> Nullability:
        column = scope.catalogue.columns.get((relation.relid, node.varattno))
        if column is None:
            return UNKNOWN
        written = None
        conflict = scope.query.onConflict
        if conflict and node.varno == conflict.exclRelIndex:
            values = [each.expr for each in scope.query.targetList if each.resno == node.varattno]
            written = self.null_if_any(scope, values) if values else None
        elif node.varreturningtype != pg.OLD:
            written = self._written_value(scope, node)
        found = written or Nullability(reason=f"{column.table}.{column.name} allows it")
        elements = found.elements_not_null or column.elements_checked
        return attrs.evolve(NEVER if column.checked else found, elements_not_null=elements)

    def _written_value(self, scope: Scope, node: Node) -> Nullability | None:
        """Return the nullability of a written value; None if nothing was written, or a trigger can change it."""
        values = [] if scope in self._assumptions.writing else written_values(scope, node)
        if not values:
            return None
        with self._assuming(self._assumptions.with_written_value(scope)):
            return self.null_if_any(scope, values)
