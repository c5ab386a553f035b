"""Writes: what a table refuses of an insert or an update, and parameters that go where another belongs."""

from collections.abc import Iterator

from service.sqlcheck.cardinality import bare
from service.sqlcheck.catalogue import Catalogue
from service.sqlcheck.description import Description
from service.sqlcheck.findings import Finding, finding_at
from service.sqlcheck.node_tree import Node
from service.sqlcheck.scope import CASTS, INSERT, MERGE, SUBQUERY, UPDATE, VALUES, Scope

INSERTS, UPDATES = 3, 2  # CmdType of an action of MERGE
Pair = tuple[int, str]


def check_writes(description: Description) -> Iterator[Finding]:
    """Find required columns that an insert leaves out, nulls for columns that take none, and swapped parameters."""
    if description.scope is None:
        return
    for scope in _changes(description.scope):
        for targets, inserts in _written(scope.query):
            yield from _left_out(description, scope, targets) if inserts else ()
            yield from _nulls(description, scope, targets)
            yield from _swapped(description, scope, targets)


def _changes(scope: Scope) -> Iterator[Scope]:
    """Yield the statement, and those in its common table expressions, if they write."""
    for cte in scope.query.cteList or []:
        yield from _changes(scope.child(cte.ctequery))
    if scope.query.commandType in {INSERT, UPDATE, MERGE}:
        yield scope


def _written(query: Node) -> Iterator[tuple[list[Node], bool]]:
    """Yield the columns that are written, and whether into a new row."""
    if query.commandType in {INSERT, UPDATE}:
        yield [each for each in query.targetList or [] if not each.resjunk], query.commandType == INSERT
    if query.onConflict and query.onConflict.onConflictSet:
        yield query.onConflict.onConflictSet, False
    for action in query.mergeActionList or []:
        if action.commandType in {INSERTS, UPDATES}:
            yield action.targetList or [], action.commandType == INSERTS


def _table(scope: Scope) -> int:
    """Return the table that is written; 0 for a view, or if a trigger may fill a row."""
    relation = scope.relation(scope.query.resultRelation)
    fills = relation.relkind not in {"r", "p"} or relation.relid in scope.catalogue.triggers
    return 0 if fills else int(relation.relid)


def _left_out(description: Description, scope: Scope, targets: list[Node]) -> Iterator[Finding]:
    given = {target.resno for target in targets}
    table = _table(scope)
    for (relation, number), column in sorted(scope.catalogue.columns.items()):
        if relation == table and column.required and not column.filled and number not in given:
            sentence = f"the insert leaves out {column.table}.{column.name}, which is NOT NULL and has no default"
            yield finding_at(description.statement, description.parsed.line, sentence, "required-column")


def _nulls(description: Description, scope: Scope, targets: list[Node]) -> Iterator[Finding]:
    table = _table(scope)
    for target in targets:
        column = scope.catalogue.columns.get((table, target.resno))
        nulls = description.judge.expression(scope, target.expr)
        if column and column.required and nulls.given and nulls.itself:
            parameter = int(nulls.itself[1:].split()[0]) if nulls.itself.startswith("$") else 0
            line = description.statement.parameters[parameter - 1].line if parameter else description.parsed.line
            sentence = f"{column.table}.{column.name} is NOT NULL, and gets null: {nulls.itself}"
            yield finding_at(description.statement, line, sentence, "null-written")


def _swapped(description: Description, scope: Scope, targets: list[Node]) -> Iterator[Finding]:
    """Find two parameters of one type, each named as the column that the other goes to."""
    table, parameters = _table(scope), description.statement.parameters
    names = _names(scope.catalogue, table)
    goes_to: dict[str, tuple[str, int]] = {}
    for target in targets:
        number = _parameter(scope, target.expr)
        if number and target.resno in names:
            goes_to[parameters[number - 1].name] = (names[target.resno], number)
    for name, (column, number) in goes_to.items():
        other, its_number = goes_to.get(column, ("", 0))
        same_type = its_number and parameters[number - 1].type == parameters[its_number - 1].type
        if name < column and other == name and same_type:
            sentence = f"${number} {name} goes to the column {column}, and ${its_number} {column} to {name}"
            yield finding_at(description.statement, parameters[number - 1].line, sentence, "swapped")


def _names(catalogue: Catalogue, table: int) -> dict[int, str]:
    return {number: column.name for (relation, number), column in catalogue.columns.items() if relation == table}


def _parameter(scope: Scope, node: Node) -> int:
    """Return the number of the parameter that an expression passes on, or 0."""
    node = bare(node)
    while node.label in CASTS or (node.label == "FUNCEXPR" and node.funcformat in {1, 2}):
        node = bare(node.arg or node.args[0])
    if node.label == "PARAM":
        return int(node.paramid)
    if node.label != "VAR" or node.varlevelsup:
        return 0
    relation = scope.relation(node.varno)
    if relation.rtekind == SUBQUERY and not relation.subquery.setOperations:
        inner = scope.child(relation.subquery)
        return _parameter(inner, inner.targets[node.varattno - 1].expr)
    if relation.rtekind == VALUES and len(relation.values_lists) == 1:
        return _parameter(scope, relation.values_lists[0][node.varattno - 1])
    return 0
