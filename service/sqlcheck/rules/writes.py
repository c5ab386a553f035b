"""Values that a table rejects, and swapped parameters."""

from collections.abc import Iterator

from pglast import ast

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.description import Description
from service.sqlcheck.analysis.node_tree import CASTS, Node, strip_relabels
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.findings import Problem


def check_writes(description: Description) -> Iterator[Problem]:
    """Find required columns that an insert omits, nulls for NOT NULL columns, and swapped parameters."""
    yield from _swapped_conditions(description)
    if description.scope is None:
        return
    for scope in writing_queries(description.scope):
        for targets, inserts in target_lists(scope.query):
            yield from _missing_columns(description, scope, targets) if inserts else ()
            yield from _written_nulls(description, scope, targets)
            yield from _swapped_values(description, scope, targets)


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


def _swapped_values(description: Description, scope: Scope, targets: list[Node]) -> Iterator[Problem]:
    table, columns = _table(scope), scope.catalogue.columns
    names = {number: column.name for (relation, number), column in columns.items() if relation == table}
    pairs = [(names[target.resno], _parameter(scope, target.expr)) for target in targets if target.resno in names]
    yield from _swapped(description, pairs, "goes to the column {}", "to {}")


def _swapped_conditions(description: Description) -> Iterator[Problem]:
    """Find swapped parameters among those that equations compare with columns of one table."""
    compared: dict[str, list[tuple[str, int]]] = {}
    named = [each for each in description.parsed.nodes if isinstance(each, ast.RangeVar)]
    tables = {each.alias.aliasname if each.alias else each.relname: each.relname for each in named}
    if len(named) == 1:
        tables[""] = named[0].relname
    for node in description.parsed.nodes:
        is_operator = isinstance(node, ast.A_Expr)
        if not is_operator or node.name[-1].sval != "=":
            continue
        rows = isinstance(node.lexpr, ast.RowExpr) and isinstance(node.rexpr, ast.RowExpr)
        for one, other in zip(node.lexpr.args, node.rexpr.args, strict=True) if rows else [(node.lexpr, node.rexpr)]:
            for column, value in ((one, other), (other, one)):
                parameter = value.arg if isinstance(value, ast.TypeCast) else value
                if isinstance(column, ast.ColumnRef) and isinstance(parameter, ast.ParamRef):
                    *qualifiers, name = (getattr(field, "sval", "*") for field in column.fields or ())
                    table = ".".join(qualifiers)
                    name = f"{tables[table]}.id" if name == "id" and table in tables else name
                    compared.setdefault(table, []).append((name, parameter.number or 0))
    for pairs in compared.values():
        yield from _swapped(description, pairs, "is compared with the column {}", "with {}")


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
    return name.removesuffix("_id").removesuffix(".id").removesuffix("s")


def _parameter(scope: Scope, node: Node) -> int:
    """Return the number of the parameter whose value, or element, an expression has unless it is null; otherwise 0."""
    node = strip_relabels(node)
    casts = {pg.EXPLICIT_CAST, pg.IMPLICIT_CAST}
    while node.label in CASTS | {"COALESCEEXPR"} or (node.label == "FUNCEXPR" and node.funcformat in casts):
        node = strip_relabels(node.arg or node.args[0])
    if node.label == "PARAM" and node.paramkind == pg.EXTERNAL:
        return int(node.paramid)
    if node.label != "VAR" or node.varlevelsup:
        return 0
    relation = scope.relation(node.varno)
    if relation.rtekind == pg.SUBQUERY and not relation.subquery.setOperations:
        inner = scope.child(relation.subquery)
        return _parameter(inner, inner.targets[node.varattno - 1].expr)
    if relation.rtekind == pg.VALUES and len(relation.values_lists) == 1:
        return _parameter(scope, relation.values_lists[0][node.varattno - 1])
    # The columns of `unnest($1, $2)`, one function for each array.
    functions = relation.functions or []
    if node.varattno <= len(functions) and all(each.funccolcount == 1 for each in functions):
        call = functions[node.varattno - 1].funcexpr
        return _parameter(scope, call.args[0]) if scope.catalogue.builtin_name(call.funcid) == "unnest" else 0
    return 0
