"""Values that a table rejects, and swapped parameters."""

from collections.abc import Iterator

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.description import Description
from service.sqlcheck.analysis.query_tree import CASTS, Node, strip_relabels
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.findings import Problem

EQUATIONS = {"DISTINCTEXPR", "OPEXPR", "SCALARARRAYOPEXPR"}


def check_writes(description: Description) -> Iterator[Problem]:
    """Find required columns that an insert omits, nulls for NOT NULL columns, and swapped parameters."""
    yield from _swapped_conditions(description)
    if description.scope is None:
        return
    yield from dict.fromkeys(_swapped_values(description))
    for scope in writing_queries(description.scope):
        for targets, inserts in target_lists(scope.query):
            yield from _missing_columns(description, scope, targets) if inserts else ()
            yield from _written_nulls(description, scope, targets)


def writing_queries(scope: Scope) -> Iterator[Scope]:
    """Yield the statement and its common table expressions, if they write."""
    for cte in scope.query.cteList or []:
        yield from writing_queries(scope.child(cte.ctequery))
    if scope.query.commandType in {pg.INSERT, pg.UPDATE, pg.MERGE}:
        yield scope


def target_lists(query: Node) -> Iterator[tuple[list[Node], bool]]:
    """Yield the targets of each write, and whether it inserts a row."""
    yield [each for each in query.targetList or [] if not each.resjunk], query.commandType == pg.INSERT
    if query.onConflict and query.onConflict.onConflictSet:
        yield query.onConflict.onConflictSet, False
    for action in query.mergeActionList or []:
        yield action.targetList or [], action.commandType == pg.INSERT


def _table(scope: Scope) -> int:
    """Return the oid of the table or view that is written; 0 if a trigger can fill the row."""
    table: int = scope.relation(scope.query.resultRelation).relid
    return 0 if (table, pg.INSERT) in scope.catalogue.triggers else table


def _missing_columns(description: Description, scope: Scope, targets: list[Node]) -> Iterator[Problem]:
    given = {target.resno for target in targets if target.expr.label != "SETTODEFAULT"}
    for number, column in scope.catalogue.required_columns.get(_table(scope), {}).items():
        if number not in given:
            sentence = f"the insert omits {column.table}.{column.name}, which is NOT NULL and has no default"
            yield "required-column", description.parsed.line, sentence


def _written_nulls(description: Description, scope: Scope, targets: list[Node]) -> Iterator[Problem]:
    table = _table(scope)
    for target in targets:
        column = scope.catalogue.columns.get((table, target.resno))
        nulls = description.nullability.expression(scope, target.expr)
        if column and column.required and nulls.known and (nulls.from_input or not nulls.reason) and nulls.why:
            parameter = int(nulls.reason[1:].split()[0]) if nulls.reason.startswith("$") else 0
            line = description.statement.parameters[parameter - 1].line if parameter else description.parsed.line
            yield "null-written", line, f"{column.table}.{column.name} is NOT NULL, but receives null: {nulls.why}"


def _swapped_values(description: Description) -> Iterator[Problem]:
    """Find swapped parameters among the columns of each write, and among those of each CTE, subquery and function."""
    for scope in description.scope.with_nested() if description.scope else ():
        for columns in _named_values(scope):
            pairs = [(name, _parameter(scope, value)) for name, value in columns]
            yield from _swapped(description, pairs, "goes to the column {}", "to {}")


def _named_values(scope: Scope) -> Iterator[list[tuple[str, Node]]]:
    """Yield the columns, each with its name and value, of each write and of each CTE, subquery and function."""
    for number, relation in enumerate(scope.query.rtable or [], 1):
        if relation.rtekind in {pg.FUNCTION, pg.SUBQUERY, pg.CTE}:
            names = enumerate(relation.eref.colnames or [], 1)
            yield [(name.strip('"'), Node("VAR", {"varno": number, "varattno": place})) for place, name in names]
    if scope.query.resultRelation:
        columns, table = scope.catalogue.columns, _table(scope)
        for targets, _ in target_lists(scope.query):
            written = [(columns.get((table, target.resno)), target.expr) for target in targets]
            yield [(column.name, value) for column, value in written if column]


def _swapped_conditions(description: Description) -> Iterator[Problem]:
    """Find swapped parameters among those that equations compare with columns of one table."""
    compared: dict[tuple[Scope, int], list[tuple[str, int]]] = {}
    for scope, node in description.scope.nodes() if description.scope else ():
        if node.label in EQUATIONS and node.opno in scope.catalogue.equalities:
            for one, value in (node.args, node.args[::-1]):
                column = scope.without_alias(one)
                if column.label == "VAR" and not column.varlevelsup and column.varattno > 0:
                    pair = _column_name(scope, column), _parameter(scope, value)
                    compared.setdefault((scope, column.varno), []).append(pair)
    for pairs in compared.values():
        yield from _swapped(description, pairs, "is compared with the column {}", "with {}")


def _column_name(scope: Scope, variable: Node) -> str:
    """Return the name of a column: `pet_name`, but `pets.id`."""
    relation = scope.relation(variable.varno)
    name = relation.eref.colnames[variable.varattno - 1].strip('"')
    column = scope.catalogue.columns.get((relation.relid, variable.varattno))
    return f"{column.table if column else relation.eref.aliasname}.id" if name == "id" else name


def _swapped(description: Description, pairs: list[tuple[str, int]], first: str, second: str) -> Iterator[Problem]:
    """Find two parameters of the same type, each paired with the column named after the other: `pet` or `pets.id`."""
    parameters = description.statement.parameters
    paired = {_stem(parameters[number - 1].name): (column, number) for column, number in pairs if number}
    for stem, (column, number) in paired.items():
        other, its_number = paired.get(_stem(column), ("", 0))
        one, two = parameters[number - 1], parameters[its_number - 1]
        if stem < _stem(column) and _stem(other) == stem and one.type == two.type:
            sentence = f"${number} {one.name} {first}, and ${its_number} {two.name} {second}".format(column, other)
            yield "swapped", one.line, sentence


def _stem(name: str) -> str:
    return name.removesuffix("s").removesuffix("_id").removesuffix(".id").removesuffix("s")


def _parameter(scope: Scope, node: Node) -> int:  # noqa: PLR0911 - one return per case
    """Return the number of the parameter that an expression shows, perhaps converted or if it is not null; else 0."""
    node = strip_relabels(node)
    casts = {pg.EXPLICIT_CAST, pg.IMPLICIT_CAST}
    while node.label in CASTS | {"COALESCEEXPR", "NULLIFEXPR"} or (
        node.label == "FUNCEXPR" and (node.funcformat in casts or len(node.args or []) == 1)  # such as unnest($1)
    ):
        node = strip_relabels(node.arg or node.args[0])
    if node.label == "PARAM" and node.paramkind == pg.EXTERNAL:
        return int(node.paramid)
    if node.label != "VAR" or node.varlevelsup or node.varattno <= 0:
        return 0
    relation, place, conflict = scope.relation(node.varno), node.varattno - 1, scope.query.onConflict
    if conflict and node.varno == conflict.exclRelIndex:
        written = [each.expr for each in scope.query.targetList if each.resno == node.varattno]
        return _parameter(scope, written[0]) if written else 0
    if relation.rtekind == pg.FUNCTION:
        calls = [each.funcexpr for each in relation.functions if each.funccolcount == 1]
        return _parameter(scope, calls[place]) if place < len(calls) == len(relation.functions) else 0
    if relation.rtekind == pg.VALUES and len(relation.values_lists) == 1:
        return _parameter(scope, relation.values_lists[0][place])
    if relation.rtekind in {pg.SUBQUERY, pg.CTE}:
        source, shown = scope.shown_expression(node)
        return _parameter(source, shown) if shown else 0
    return 0
