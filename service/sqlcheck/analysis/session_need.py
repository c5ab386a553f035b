"""Whether a query depends on the caller's session, `$1`: if it has ended, no row is returned or written."""

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.query_parts import conjuncts, has_row_without_input
from service.sqlcheck.analysis.query_tree import Node, walk
from service.sqlcheck.analysis.scope import Scope


def needs_session(scope: Scope) -> bool:
    """Return whether a query finds rows only if the session is valid; each condition on `$1` is assumed to test it."""
    query = scope.query
    if has_row_without_input(query):
        return False
    if query.setOperations:
        return _set_needs(scope, query.setOperations)
    if query.commandType == pg.MERGE:
        kinds = {each.matchKind for each in query.mergeActionList or []}
        if pg.NOT_MATCHED_BY_SOURCE in kinds:
            return False
        if kinds == {pg.MATCHED} and _is_tested(scope, query.mergeJoinCondition):
            return True
    return _part_needs(scope, query.jointree)


def _set_needs(scope: Scope, node: Node) -> bool:
    if node.label == "RANGETBLREF":
        return needs_session(scope.child(scope.relation(node.rtindex).subquery))
    left, right = _set_needs(scope, node.larg), _set_needs(scope, node.rarg)
    return {pg.UNION: left and right, pg.INTERSECT: left or right, pg.EXCEPT: left}[node.op]


def _part_needs(scope: Scope, part: Node) -> bool:
    """Return whether a part of the FROM clause has rows only if the session is valid."""
    if part.label == "RANGETBLREF":
        return _relation_needs(scope, part.rtindex)
    if part.label == "JOINEXPR" and part.jointype != pg.INNER:
        kept = {pg.LEFT: [part.larg], pg.RIGHT: [part.rarg]}.get(part.jointype, [part.larg, part.rarg])
        return all(_part_needs(scope, each) for each in kept)
    sides = [part.larg, part.rarg] if part.label == "JOINEXPR" else part.fromlist or []
    return _is_tested(scope, part.quals) or any(_part_needs(scope, each) for each in sides)


def _relation_needs(scope: Scope, number: int) -> bool:
    relation = scope.relation(number)
    if relation.rtekind == pg.FUNCTION:
        return any(_is_session(node) for node, _ in walk(relation.functions))
    source = scope.source(number)
    if source and scope.is_recursive(number):
        return _set_needs(source, source.query.setOperations.larg)
    return source is not None and needs_session(source)


def _is_tested(scope: Scope, condition: Node | None) -> bool:
    """Return whether a condition is true only if the session is valid."""
    return any(_tests(scope, each) for each in conjuncts(condition))


def _tests(scope: Scope, condition: Node) -> bool:
    if condition.boolop == "or":
        return all(_is_tested(scope, each) for each in condition.args)
    return condition.boolop != "not" and any(
        _is_session(node) or (node.label == "SUBLINK" and needs_session(scope.child(node.subselect)))
        for node, level in walk(condition)
        if level == 0
    )


def _is_session(node: Node) -> bool:
    return bool(node.label == "PARAM" and node.paramkind == pg.EXTERNAL and node.paramid == 1)
