"""Nullability of calls (functions, operators, aggregates, window functions), of CASE and of subqueries."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.min_rows import returns_at_least_one
from service.sqlcheck.analysis.nested_arrays import makes_nested
from service.sqlcheck.analysis.not_null import Variable, not_null_if_false, not_null_if_true
from service.sqlcheck.analysis.nullability import NEVER, UNKNOWN, Nullability, in_array, null_if_all, null_if_any
from service.sqlcheck.analysis.query_parts import conjuncts
from service.sqlcheck.analysis.query_tree import Node, constant_integer, constant_text, is_null_constant, type_of, walk
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.analysis.total_functions import AGGREGATES, INFINITE_FIELDS

if TYPE_CHECKING:
    from service.sqlcheck.analysis.nullability_inference import NullabilityInference as Inference


def infer_function_column(inference: "Inference", scope: Scope, relation: Node, place: int) -> Nullability:
    """Infer the nullability of a column of a function in the FROM clause."""
    [function, *others] = relation.functions
    if place >= sum(each.funccolcount for each in relation.functions):
        return NEVER  # WITH ORDINALITY
    return UNKNOWN if others else _infer_row(inference, scope, function.funcexpr, place)


def _infer_row(inference: "Inference", scope: Scope, call: Node, place: int) -> Nullability:
    """Infer the nullability of a column of the rows that a function returns."""
    catalogue = scope.catalogue
    row = catalogue.rows.get(type_of(call))
    if row is None and not call.funcretset:
        return inference.expression(scope, call)
    is_key = catalogue.builtin_name(call.funcid) in {"json_each_text", "jsonb_each_text"} and place == 0
    if is_key or call.funcid in catalogue.never_null_sets:
        return NEVER
    if row is None and catalogue.functions[call.funcid].signature == "unnest(anyarray)":
        return NEVER if inference.expression(scope, call.args[0]).elements_not_null else UNKNOWN
    body = scope.function_body(call)
    if body is None or not (call.funcretset or returns_at_least_one(body, inference)):
        return UNKNOWN
    columns = inference.columns(body)
    if row is not None and len(columns) == 1:  # the body returns the row as one value
        column = UNKNOWN if body.query.groupingSets else infer_field(inference, body, body.targets[0].expr, place)
    else:
        place = row.index(place + 1) if row else place  # the body returns no dropped columns
        column = columns[place] if place < len(columns) else UNKNOWN
    return column if call.funcretset else null_if_any([column, inference.null_if_any(scope, body.required)])


def _is_finite(scope: Scope, field: Node, time: Node) -> bool:
    """Return whether a field of a time is not null: the time is now, or the field exists for infinity, too."""
    is_now = time.label == "SQLVALUEFUNCTION" or scope.catalogue.builtin_name(time.funcid) == "now"
    return is_now or constant_text(field) in INFINITE_FIELDS


def infer_function(inference: "Inference", scope: Scope, node: Node) -> Nullability:  # noqa: PLR0911 - one return per case
    """Infer the nullability of a function call."""
    arguments = node.args or []
    match scope.catalogue.builtin_name(node.funcid):
        case _ if node.funcretset:  # beside another set, the shorter one ends with nulls
            sets = [
                each for each, level in walk(scope.query.targetList) if not level and (each.funcretset or each.opretset)
            ]
            return _infer_row(inference, scope, node, 0) if sets == [node] else UNKNOWN
        case "extract" | "date_part" if _is_finite(scope, *arguments):
            return inference.null_if_any(scope, arguments)
        case "array_remove":
            array = inference.expression(scope, arguments[0])
            return attrs.evolve(array, elements_not_null=is_null_constant(arguments[1]))
        case "array_replace":
            array, _, element = (inference.expression(scope, each) for each in arguments)
            return attrs.evolve(array, elements_not_null=array.elements_not_null and element.never_null)
        case "string_to_array" | "format" | "concat_ws" if not node.funcvariadic:
            elements = node.funcid in scope.catalogue.null_free_array_functions
            return attrs.evolve(inference.expression(scope, arguments[0]), elements_not_null=elements)
        case "":
            body = scope.function_body(node)
            if body is None or not returns_at_least_one(body, inference):
                return UNKNOWN
            return null_if_any([*inference.columns(body)[:1], inference.null_if_any(scope, body.required)])
        case _:
            return infer_builtin(inference, scope, node.funcid, node)


def infer_field(inference: "Inference", scope: Scope, row: Node, place: int) -> Nullability:
    """Infer the nullability of a field (from 0) of a row that an expression returns as one value."""
    match row.label:
        case "VAR" if not row.varattno:
            return inference.expression(scope, Node("VAR", {**row.fields, "varattno": place + 1}))
        case "ROWEXPR":
            return inference.expression(scope, row.args[place])
        case "FUNCEXPR" if not row.funcretset:
            return _infer_row(inference, scope, row, place)
        case "PARAM" if argument := scope.argument(row):
            return infer_field(inference, *argument, place)
        case _:
            return UNKNOWN


def infer_elements(inference: "Inference", scope: Scope, node: Node) -> Nullability:
    """Infer the nullability of a slice of an array, or of one element: only that of `(array_agg(…))[1]` is known."""
    array = inference.expression(scope, node.refexpr)
    if node.reflowerindexpr:
        bounds = [each for each in [*node.reflowerindexpr, *node.refupperindexpr] if each]
        null = inference.null_if_any(scope, bounds)
        return attrs.evolve(null_if_any([array, null]), elements_not_null=array.elements_not_null)
    is_list = scope.catalogue.builtin_name(node.refexpr.aggfnoid) == "array_agg"
    is_first = is_list and [constant_integer(each) for each in node.refupperindexpr] == [1]
    is_known = is_first and not makes_nested(scope, node.refexpr) and array.never_null and array.elements_not_null
    return NEVER if is_known else UNKNOWN


def infer_builtin(inference: "Inference", scope: Scope, function: int, node: Node) -> Nullability:
    """Infer the nullability of a call of one of PostgreSQL's own functions, directly or by an operator."""
    arguments = [inference.expression(scope, each) for each in node.args or []]
    catalogue = scope.catalogue
    name = catalogue.builtin_name(function)
    if name == "array_cat":
        return null_if_all(arguments)
    if name in {"array_append", "array_prepend"}:
        array, element = arguments if name == "array_append" else arguments[::-1]
        return Nullability(elements_not_null=array.elements_not_null and element.never_null)
    if function in catalogue.never_null_functions:
        return attrs.evolve(null_if_any(arguments), elements_not_null=False) if node.funcvariadic else NEVER
    if function in catalogue.total_functions:
        return attrs.evolve(null_if_any(arguments), elements_not_null=function in catalogue.null_free_array_functions)
    return UNKNOWN


def infer_aggregate(inference: "Inference", scope: Scope, node: Node) -> Nullability:
    """Infer the nullability of an aggregate."""
    name, query = scope.catalogue.builtin_name(node.aggfnoid), scope.query
    if node.aggfnoid in scope.catalogue.never_null_functions:
        return NEVER
    if name not in AGGREGATES or node.agglevelsup:
        return UNKNOWN
    not_null = not_null_if_true(scope, node.aggfilter)
    values = [inference.expression_assuming(scope, not_null, each.expr) for each in node.args or []]
    accepts_all = all(
        each.nulltesttype == pg.IS_NOT_NULL and not each.argisrow and inference.expression(scope, each.arg).never_null
        for each in conjuncts(node.aggfilter)
    )
    fractions = [inference.expression(scope, each) for each in node.aggdirectargs or []]
    found = _of_rows(scope, node, name, [values[0], *fractions])
    if "precision[]" in scope.catalogue.functions[node.aggfnoid].signature:  # an element for each fraction
        found = attrs.evolve(found, elements_not_null=fractions[0].elements_not_null)
    if not query.groupClause or query.groupingSets or not accepts_all:  # there may be no rows to aggregate
        return attrs.evolve(found, known=False)
    return found


def _of_rows(scope: Scope, node: Node, name: str, values: Sequence[Nullability]) -> Nullability:
    """Return the nullability of an aggregate of at least one row."""
    if name == "array_agg":
        return in_array(values[:1], makes_nested(scope, node))
    if name.startswith("json"):
        return NEVER
    return attrs.evolve(null_if_any(values), elements_not_null=False)


def infer_window_function(inference: "Inference", scope: Scope, node: Node) -> Nullability:
    """Infer the nullability of a window function."""
    name, arguments = scope.catalogue.builtin_name(node.winfnoid), node.args
    if node.winfnoid in scope.catalogue.never_null_functions:
        return NEVER
    if name == "ntile" or (name in {"lag", "lead"} and len(arguments) == 3):  # noqa: PLR2004 - value, offset, default
        return inference.null_if_any(scope, arguments).in_another_row()
    frame = next(each.frameOptions for each in scope.query.windowClause if each.winref == node.winref)
    if name in AGGREGATES and not frame & pg.WITHOUT_CURRENT_ROW and not node.aggfilter:
        found = _of_rows(scope, node, name, [inference.expression(scope, each) for each in arguments[:1]])
        return found.in_another_row() if name in {"first_value", "last_value"} else found
    return UNKNOWN


def infer_case(inference: "Inference", scope: Scope, node: Node) -> Nullability:
    """Infer the nullability of CASE: each result is behind its conditions."""
    found: list[Nullability] = []
    passed: set[Variable] = set()
    for when in node.args:
        not_null = passed | not_null_if_true(scope, when.expr)
        found.append(inference.expression_assuming(scope, not_null, when.result))
        passed |= not_null_if_false(scope, when.expr)
    if is_null_constant(node.defresult):
        return attrs.evolve(null_if_any(found), known=False)
    return null_if_any([*found, inference.expression_assuming(scope, passed, node.defresult)])


def infer_subquery(inference: "Inference", scope: Scope, node: Node) -> Nullability:
    """Infer the nullability of a subquery used as a value or in a condition."""
    inner = scope.child(node.subselect)
    match node.subLinkType:
        case pg.EXISTS:
            return NEVER
        case pg.ARRAY:
            return in_array(inference.columns(inner)[:1], makes_nested(scope, node))
        case pg.EXPRESSION:
            found = inference.columns(inner)[0]
            return found if returns_at_least_one(inner, inference) else attrs.evolve(found, known=False)
        case pg.ANY | pg.ALL:
            return null_if_any([inference.expression(scope, node.testexpr), *inference.columns(inner)])
        case _:
            return UNKNOWN
