"""Functions in SQL and PL/pgSQL: mistakes that PostgreSQL reports only when it runs the line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, LiteralString

import psycopg
from pglast.parser import ParseError
from psycopg import sql

from service.sqlcheck.analysis.catalogue import Catalogue
from service.sqlcheck.analysis.parse_tree import ParseNode, walk_parsed
from service.sqlcheck.findings import Finding, Problem
from service.sqlcheck.migrations.function_bodies import BodyStatement, FunctionSource, read_functions
from service.sqlcheck.migrations.migration_files import MigrationFiles, Place
from service.sqlcheck.rules.hygiene import OUTLIVES_STATEMENT, connection_state

RELATIONS = "select relname::text from pg_class"
AS_FUNCTION = sql.SQL("create function pg_temp.{}({}) returns void language sql as {}")
# The tables that a function creates, and its common table expressions.
CREATED_NAME = {
    "CreateStmt": attrgetter("relation.relname"),
    "IntoClause": attrgetter("rel.relname"),
    "CommonTableExpr": attrgetter("ctename"),
}
ALIAS = re.compile(r"\balias\s+for\b", re.IGNORECASE)
PLACEHOLDER = re.compile(r"%(?:(\d+)\$)?-?\d*(.)", re.DOTALL)
# Types whose text needs no quotes: integers, and the quoted name of an existing object.
SAFE_TYPES = {"int2", "int4", "int8", "regclass", "regproc", "regprocedure", "regrole", "regtype", "regnamespace"}
QUOTING_FUNCTIONS = {"quote_ident", "quote_literal", "quote_nullable"}


def check_functions(
    connection: psycopg.Connection[Any], catalogue: Catalogue, files: MigrationFiles
) -> Iterator[Finding]:
    """Find statements that fail, or are unsafe, in the functions that the migrations create."""
    relations = {name for (name,) in connection.execute(RELATIONS)}
    required: dict[str, set[str]] = {}
    for column in (each for columns in catalogue.required_columns.values() for each in columns.values()):
        required.setdefault(column.table, set()).add(column.name)
    for function in read_functions(connection):
        start = files.body(function.name, function.source)
        for check, line, sentence in _problems(connection, function, relations, required):
            place = Place(start.path, start.line + line - 1) if line else None
            yield from files.find(check, "function", function.name, f"{function.name}(){sentence}", place)


def _problems(
    connection: psycopg.Connection[Any], function: FunctionSource, relations: set[str], required: Mapping[str, set[str]]
) -> Iterator[Problem]:
    """Yield the name of a check, a line of the body (0: none), and the end of a sentence that begins with the name."""
    if function.lacks_search_path:
        yield "search-path", 0, " is SECURITY DEFINER without a search_path: its caller decides what its names mean"
    if refused := _refused(connection, function):
        yield refused
        return
    try:
        statements = function.statements()
    except ParseError:  # PostgreSQL has accepted the function, but the parser is of another release, or incomplete
        return
    types = function.variables() if function.is_plpgsql else {}
    safe = {name for name, kind in types.items() if kind in SAFE_TYPES}
    built = {each.variable for each in statements if each.variable and not _is_safe(each.tree, set(), safe)}
    for line, field in function.missing_fields():
        yield "refused", line, f" names {field}, but no table whose trigger calls it has this column"
    nodes = [(type(node).__name__, node) for each in statements for node in walk_parsed(each.tree)]
    created = {CREATED_NAME[kind](node) for kind, node in nodes if kind in CREATED_NAME}
    known = {*relations, *function.transition_tables, *created}
    changed = any(kind == "AlterTableStmt" for kind, _ in nodes)
    variables = types if function.is_plpgsql and not changed and not ALIAS.search(function.source) else None
    for statement in statements:
        if statement.is_dynamic and not _is_safe(statement.tree, built, safe):
            sentence = " runs SQL built from text: pass values with `using`, and names with format('%I')"
            yield "built-sql", statement.line, sentence
        for _, what in connection_state(statement.tree):
            yield "session-state", statement.line, f": {what} {OUTLIVES_STATEMENT}"
        for check, sentence in _check_tables(statement.tree, known, required):
            yield check, statement.line, sentence
        if variables is not None:
            yield from _missing_columns(connection, function.name, statement, variables)


def _check_tables(tree: ParseNode, known: set[str], required: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    for node in walk_parsed(tree):
        kind = type(node).__name__
        if kind == "RangeVar" and node.relname not in known:
            yield "refused", f" names {node.relname}, which does not exist"
        elif kind == "InsertStmt" and node.cols:
            for column in sorted(required.get(node.relation.relname, set()) - {each.name for each in node.cols}):
                sentence = f" omits {node.relation.relname}.{column}, which is NOT NULL and has no default"
                yield "required-column", sentence


def _refused(connection: psycopg.Connection[Any], function: FunctionSource) -> Problem | None:
    """Return PostgreSQL's error if it rejects the function; it looks up names in SQL, but not in PL/pgSQL."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(function.definition.encode())
    except psycopg.Error as error:
        inside = int(error.diag.statement_position or 1) - 1 - function.definition.find(function.source)
        line = function.source.count("\n", 0, max(inside, 0)) + 1
        return "refused", line, f": PostgreSQL says: {error.diag.message_primary}"
    return None


def _missing_columns(
    connection: psycopg.Connection[Any], name: str, statement: BodyStatement, variables: Mapping[str, LiteralString]
) -> Iterator[Problem]:
    """Find columns that do not exist: PostgreSQL analyses the statement as a function in SQL with the same variables.

    Omits statements with records, whose columns depend on what is assigned to them. Other errors prove nothing.
    """
    parts = [part for node in walk_parsed(statement.tree) if type(node).__name__ == "ColumnRef" for part in node.fields]
    names = {part.sval for part in parts if type(part).__name__ == "String"}
    used = sorted(names & variables.keys())
    if not all(variables[each] for each in used):
        return
    parameters = sql.SQL(", ").join(sql.Identifier(each) + sql.SQL(" ") + sql.SQL(variables[each]) for each in used)
    function = AS_FUNCTION.format(sql.Identifier(name), parameters, sql.Literal(statement.text))
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(function)
    except psycopg.errors.UndefinedColumn as error:
        before = int(error.diag.statement_position or 1) - 1
        line = statement.line + function.as_string(connection).count("\n", 0, before)
        yield "refused", line, f": PostgreSQL says: {error.diag.message_primary}"
    except psycopg.Error:
        pass


def _is_safe(tree: ParseNode, built: set[str], safe: set[str]) -> bool:
    """Return whether SQL contains no unquoted values.

    :param built: the variables with unsafe SQL
    :param safe: the variables of SAFE_TYPES
    """
    value = tree.targetList[0].val if getattr(tree, "targetList", None) else tree
    match type(value).__name__:
        case "ColumnRef":
            return getattr(value.fields[-1], "sval", "") not in built
        case "TypeCast":
            return _is_safe(value.arg, built, safe)
        case "CaseExpr" | "CoalesceExpr":
            values = [*(getattr(each, "result", each) for each in value.args), getattr(value, "defresult", None)]
            return all(_is_safe(each, built, safe) for each in values if each)
        case kind:
            return kind not in {"A_Expr", "FuncCall"} or _is_quoted(value, safe)


def _is_quoted(node: ParseNode, safe: set[str]) -> bool:
    """Return whether the text of an expression is constant, quoted, or needs no quotes."""
    match type(node).__name__:
        case "ColumnRef":
            return len(node.fields) == 1 and getattr(node.fields[0], "sval", "") in safe
        case "TypeCast":
            return node.typeName.names[-1].sval in SAFE_TYPES or _is_quoted(node.arg, safe)
        case "A_Expr":
            return _is_quoted(node.lexpr, safe) and _is_quoted(node.rexpr, safe)
        case "FuncCall" if node.funcname[-1].sval == "format":
            return _formats_quoted(node.args, safe)
        case "FuncCall":
            name = node.funcname[-1].sval
            return name in QUOTING_FUNCTIONS or (name == "concat" and all(_is_quoted(each, safe) for each in node.args))
        case kind:
            return kind == "A_Const"


def _formats_quoted(arguments: Sequence[ParseNode], safe: set[str]) -> bool:
    """Return whether format() quotes its arguments, or those of `%s` need no quotes."""
    text = getattr(getattr(arguments[0], "val", None), "sval", None)
    places = [each for each in PLACEHOLDER.findall(text or "%*") if each[1] != "%"]
    unquoted = [int(number or place) for place, (number, kind) in enumerate(places, 1) if kind not in {"I", "L"}]
    # Not if `%1$s` and `%s` are mixed, or `*` takes the width from another argument.
    is_clear = len({bool(number) for number, _ in places}) == 1 and all(kind != "*" for _, kind in places)
    return not unquoted or (
        is_clear and all(each < len(arguments) and _is_quoted(arguments[each], safe) for each in unquoted)
    )
