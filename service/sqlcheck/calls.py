"""Nullability of calls: functions, operators, aggregates and windows, by what each makes of its arguments."""

from typing import TYPE_CHECKING

import attrs

from service.sqlcheck.catalogue import FIRST_OWN_OID
from service.sqlcheck.guaranteed_rows import at_least_one
from service.sqlcheck.node_tree import Node
from service.sqlcheck.nullability import NEVER, UNKNOWN, Nullability, any_of, none_of
from service.sqlcheck.scope import CASTS, Scope
from service.sqlcheck.total_functions import AGGREGATES, MONOTONIC, OF_FRAME

if TYPE_CHECKING:
    from service.sqlcheck.judge import Judge


def from_function(judge: "Judge", scope: Scope, relation: Node, place: int) -> Nullability:  # noqa: PLR0911 - a table of cases
    """Judge a column of a function in `from`."""
    [function, *others] = relation.functions
    call = function.funcexpr
    if others:
        return UNKNOWN
    if place >= function.funccolcount:
        return NEVER  # WITH ORDINALITY
    if call.label != "FUNCEXPR" or (not call.funcretset and function.funccolcount == 1):
        return judge.expression(scope, call)
    if call.funcid in scope.catalogue.never_null_sets:
        return NEVER
    if builtin(scope, call.funcid) in {"json_each_text", "jsonb_each_text"} and place == 0:
        return NEVER  # the key
    if builtin(scope, call.funcid) == "unnest":
        return NEVER if judge.expression(scope, call.args[0]).elements else UNKNOWN
    body = scope.called(call)
    if body is None or not (call.funcretset or at_least_one(body, judge)):
        return UNKNOWN
    columns = judge.columns(body)
    return columns[place] if place < len(columns) else UNKNOWN


def function(judge: "Judge", scope: Scope, node: Node) -> Nullability:  # noqa: PLR0911 - a table of cases
    """Judge a call of a function."""
    arguments = node.args or []
    match builtin(scope, node.funcid):
        case _ if node.funcretset:
            return UNKNOWN
        case "extract" | "date_part" if text(arguments[0]) in MONOTONIC:
            return judge.all_of(scope, arguments)
        case "array_remove":
            return attrs.evolve(judge.expression(scope, arguments[0]), elements=is_null(arguments[1]))
        case "array_replace":
            return judge.expression(scope, arguments[0])
        case "string_to_array" | "format" | "concat_ws" if not node.funcvariadic:
            elements = node.funcid in scope.catalogue.elements
            return attrs.evolve(judge.expression(scope, arguments[0]), elements=elements)
        case "":
            body = scope.called(node)
            if body is None or not at_least_one(body, judge):
                return UNKNOWN
            strict = arguments if scope.catalogue.functions[node.funcid].is_strict else []
            return any_of([*judge.columns(body)[:1], judge.all_of(scope, strict)])
        case _:
            return call(judge, scope, node.funcid, node)


def call(judge: "Judge", scope: Scope, of: int, node: Node) -> Nullability:
    """Judge what a function of PostgreSQL's makes of its arguments, also behind an operator."""
    arguments = [judge.expression(scope, each) for each in node.args or []]
    if builtin(scope, of) == "array_cat":
        return none_of(arguments)
    if of in scope.catalogue.never_null:
        return attrs.evolve(any_of(arguments), elements=False) if node.funcvariadic else NEVER
    if of in scope.catalogue.total:
        return attrs.evolve(any_of(arguments), elements=of in scope.catalogue.elements)
    return Nullability(known=False, elements=of in scope.catalogue.elements)


def aggregate(judge: "Judge", scope: Scope, node: Node) -> Nullability:
    """Judge an aggregate."""
    name, query = builtin(scope, node.aggfnoid), scope.query
    if node.aggfnoid in scope.catalogue.never_null:
        return NEVER
    if name not in AGGREGATES or node.agglevelsup:
        return UNKNOWN
    present = scope.strict(node.aggfilter)
    values = [judge.assuming(scope, present, each.expr) for each in node.args or []]
    elements = name == "array_agg" and values[0].never
    if not query.groupClause or query.groupingSets or node.aggfilter:
        return Nullability(known=False, elements=elements)  # of no rows
    if name == "array_agg" or name.startswith("json"):
        return Nullability(elements=elements)
    return attrs.evolve(values[0], elements=False)


def window(judge: "Judge", scope: Scope, node: Node) -> Nullability:
    """Judge a function over a window."""
    name, arguments = builtin(scope, node.winfnoid), node.args or []
    if node.winfnoid in scope.catalogue.never_null:
        return NEVER
    if name == "ntile" or (name in {"lag", "lead"} and len(arguments) == 3):  # noqa: PLR2004 - value, offset, default
        return judge.all_of(scope, arguments)
    frame = next(each.frameOptions for each in scope.query.windowClause if each.winref == node.winref)
    # Of the frame that goes without saying, the row itself is a part.
    if name in AGGREGATES | OF_FRAME and not frame & 1 and not node.aggfilter:
        return judge.all_of(scope, arguments[:1])
    return UNKNOWN


def builtin(scope: Scope, function: int) -> str:
    """Return the name of a function of PostgreSQL's; of others, nothing."""
    known = scope.catalogue.functions.get(function)
    return known.name if known and function < FIRST_OWN_OID else ""


def is_null(node: Node) -> bool:
    """Tell whether an expression is a written null."""
    while node.label in CASTS:
        node = node.arg
    return node.label == "CONST" and bool(node.constisnull)


def text(node: Node) -> str:
    """Return a text that is written in the query, or nothing."""
    if node.label != "CONST" or node.constisnull or node.constlen >= 0:
        return ""
    written = bytes(each % 256 for each in node.constvalue)
    # Of a length (-1), or up to a zero (-2, a literal whose type nobody asks for).
    return (written[4:] if node.constlen == -1 else written[:-1]).decode("utf-8", "replace")
