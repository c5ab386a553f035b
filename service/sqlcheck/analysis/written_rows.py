"""The rows that a statement writes and returns: those that may not exist, and the values that a command gives them."""

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.not_null import as_variable
from service.sqlcheck.analysis.query_tree import Node, walk
from service.sqlcheck.analysis.scope import Scope


def is_intercepted(scope: Scope, *, only_skipped: bool = False) -> bool:
    """Return whether a trigger, a rule or a view can change or skip the rows that a statement writes, or only skip."""
    triggers = scope.catalogue.skipping_triggers if only_skipped else scope.catalogue.triggers
    query, table = scope.query, scope.relation(scope.query.resultRelation)
    commands = {query.commandType, *([pg.UPDATE] if query.onConflict else [])}
    commands |= {each.commandType for each in query.mergeActionList or []}
    if table.relkind == "p":
        commands |= {pg.INSERT, pg.DELETE}  # of a row that changes its partition
    return table.relkind not in {"r", "p"} or any((table.relid, each) in triggers for each in commands)


def is_changed_elsewhere(scope: Scope) -> bool:
    """Return whether another part of the statement writes the same table: a row that it has changed is skipped."""
    query, top = scope.query, scope
    if query.commandType == pg.INSERT and not query.onConflict:
        return False
    while top.parent:
        top = top.parent
    writing = [node for node, _ in walk(top.query) if node.resultRelation]
    tables = [each.rtable[each.resultRelation - 1].relid for each in writing]
    return tables.count(scope.relation(query.resultRelation).relid) > 1


def missing_row(query: Node, node: Node) -> str:
    """Return why the row of a column that an INSERT, UPDATE, DELETE or MERGE returns may not exist, if so."""
    actions = query.mergeActionList or []
    if node.varno == query.resultRelation:
        commands = {each.commandType for each in actions} or {query.commandType}
        missing = {row for command, row in ((pg.INSERT, pg.OLD), (pg.DELETE, pg.NEW)) if command in commands}
        return "there may be no such row" if node.varreturningtype in missing else ""
    merged = any(action.matchKind == pg.NOT_MATCHED_BY_SOURCE for action in actions)
    return "the source may have no row" if merged else ""


def written_values(scope: Scope, node: Node) -> list[Node]:
    """Return the values of which a returned column is one; none if it can have others, such as those of a trigger."""
    query = scope.query
    if node.varno != query.resultRelation or is_intercepted(scope):
        return []
    values = [each.expr for each in query.targetList or [] if each.resno == node.varattno]
    if query.onConflict and query.onConflict.onConflictSet:
        updated = [each.expr for each in query.onConflict.onConflictSet if each.resno == node.varattno]
        return [*values, *updated] if values and updated else []
    return values


def generated_value(scope: Scope, node: Node) -> Node | None:
    """Return the expression of a generated column, in terms of the same row; None for any other column."""
    conflict = scope.query.onConflict
    is_excluded = conflict and node.varno == conflict.exclRelIndex
    return None if is_excluded else scope.catalogue.generated(scope.relation(node.varno).relid, as_variable(node))


def is_kept(scope: Scope, node: Node) -> bool:
    """Return whether an update leaves a column as it was."""
    column = scope.catalogue.columns.get((scope.relation(node.varno).relid, node.varattno))
    written = [each.resno for each in scope.query.targetList]
    return bool(column and not column.generated) and node.varattno not in written and not is_intercepted(scope)
