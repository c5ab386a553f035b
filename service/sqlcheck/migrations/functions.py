"""Functions in SQL and PL/pgSQL: mistakes that PostgreSQL reports only when it runs the line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, LiteralString

import attrs
import psycopg
from pglast import parse_plpgsql, parse_sql
from pglast.parser import ParseError
from psycopg import sql

from service.sqlcheck.analysis.catalogue import Catalogue
from service.sqlcheck.analysis.parse_tree import Node, walk
from service.sqlcheck.findings import Finding, Problem
from service.sqlcheck.migrations.migration_files import MigrationFiles, Place
from service.sqlcheck.rules.hygiene import OUTLIVES_STATEMENT, connection_state

FUNCTIONS = """
    select
        p.proname::text, l.lanname = 'plpgsql', p.prosrc, pg_get_functiondef(p.oid),
        p.prosecdef and not coalesce(p.proconfig::text, '') ~ '[{,"]search_path=',
        array(
            select unnest(array[t.tgoldtable, t.tgnewtable])::text from pg_trigger as t where t.tgfoid = p.oid
        )
    from pg_proc as p inner join pg_language as l on l.oid = p.prolang
    where p.oid >= 16384 and p.prokind in ('f', 'p') and l.lanname in ('sql', 'plpgsql') and not exists (
        select from pg_depend as d where d.objid = p.oid and d.classid = 'pg_proc'::regclass and d.deptype = 'e'
    )
"""
RELATIONS = "select relname::text from pg_class"
AS_FUNCTION = sql.SQL("create function pg_temp.{}({}) returns void language sql as {}")
# The PL/pgSQL statements that run a text as SQL, and the field with the text.
DYNAMIC_SQL = {
    ("PLpgSQL_stmt_dynexecute", "query"),
    ("PLpgSQL_stmt_dynfors", "query"),
    ("PLpgSQL_stmt_return_query", "dynquery"),
    ("PLpgSQL_stmt_open", "dynquery"),
}
# The tables that a function creates, and its common table expressions.
CREATED_NAME = {
    "CreateStmt": attrgetter("relation.relname"),
    "IntoClause": attrgetter("rel.relname"),
    "CommonTableExpr": attrgetter("ctename"),
}
ALIAS = re.compile(r"\balias\s+for\b", re.IGNORECASE)
ASSIGNED = re.compile(r'\s*(?P<variable>"?\w+"?)(\[[^\]]*\]|[^=:\[])*:?=')
# Removed before parsing: the name of a table means the same without it, but with it, pglast sees a scalar.
ROW_TYPE = re.compile(r"%rowtype\b", re.IGNORECASE)
PLACEHOLDER = re.compile(r"%(?:(\d+)\$)?-?\d*(.)", re.DOTALL)
# Types whose text needs no quotes: integers, and the quoted name of an existing object.
SAFE_TYPES = {"int2", "int4", "int8", "regclass", "regproc", "regprocedure", "regrole", "regtype", "regnamespace"}
QUOTING_FUNCTIONS = {"quote_ident", "quote_literal", "quote_nullable"}


@attrs.frozen
class BodyStatement:
    """A parsed statement or expression of a function: its line in the body, and whether its value is run as SQL."""

    line: int
    text: str
    tree: Node
    variable: str = ""
    is_dynamic: bool = False

    def trees(self) -> list[Node]:
        """Return its tree, and those of the constant text that it runs as SQL. Raises ParseError."""
        value = self.tree.targetList[0].val if self.is_dynamic else None
        text = getattr(getattr(value, "val", None), "sval", None)
        return [self.tree, *(each.stmt for each in parse_sql(text or ""))]


@attrs.frozen
class FunctionSource:
    """A user-defined function."""

    name: str
    is_plpgsql: bool
    source: str
    definition: str
    lacks_search_path: bool
    transition_tables: list[str]

    def statements(self) -> list[BodyStatement]:
        """Parse the body. Raises ParseError."""
        if self.is_plpgsql:
            return plpgsql_statements(self.definition)
        found = parse_sql(self.source)
        return [BodyStatement(self.source.count("\n", 0, each.stmt_location) + 1, "", each.stmt) for each in found]

    def trees(self) -> list[Node]:
        """Return the statements, or the definition if PostgreSQL keeps no text of the body. Raises ParseError."""
        if not self.source:
            return [each.stmt for each in parse_sql(self.definition)]
        return [tree for each in self.statements() for tree in each.trees()]

    def variables(self) -> dict[str, LiteralString]:
        """Return the types of the variables and parameters of a PL/pgSQL function; none for records.

        Also none for a variable that an inner block declares with another type.
        """
        [parsed] = _parse_plpgsql(self.definition)
        found: dict[str, LiteralString] = {}
        for variable in (each for datum in parsed["PLpgSQL_function"]["datums"] for each in datum.values()):
            kind = variable.get("datatype", {}).get("PLpgSQL_type", {}).get("typname", "")
            name = variable.get("refname", "")
            found[name] = kind if found.get(name, kind) == kind else ""
        return found


def read_functions(connection: psycopg.Connection[Any]) -> list[FunctionSource]:
    """Read the user-defined functions and procedures."""
    return [FunctionSource(*row) for row in connection.execute(FUNCTIONS).fetchall()]


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
    nodes = [(type(node).__name__, node) for each in statements for node in walk(each.tree)]
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


def _check_tables(tree: Node, known: set[str], required: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    for node in walk(tree):
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
    parts = [part for node in walk(statement.tree) if type(node).__name__ == "ColumnRef" for part in node.fields]
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


def plpgsql_statements(text: str) -> list[BodyStatement]:
    """Parse CREATE FUNCTION or DO, and return the statements and expressions of its body. Raises ParseError."""
    return list(_statements(_parse_plpgsql(text)))


def _parse_plpgsql(text: str) -> Any:  # noqa: ANN401 - JSON
    return parse_plpgsql(ROW_TYPE.sub("", text))


def _statements(part: Any, line: int = 1, owner: str = "") -> Iterator[BodyStatement]:  # noqa: ANN401 - parsed JSON
    """Yield the statements and expressions of a PL/pgSQL body, which pglast parses to JSON."""
    if isinstance(part, list):
        for each in part:
            yield from _statements(each, line, owner)
    elif isinstance(part, dict):
        line = part.get("lineno", line)
        for name, value in part.items():
            if isinstance(value, dict) and (expression := value.get("PLpgSQL_expr")):
                yield _expression(expression, line, _variable(part, name), is_dynamic=(owner, name) in DYNAMIC_SQL)
            elif name.startswith("PLpgSQL_"):
                yield from _statements(value, line, name)
            else:
                yield from _statements(value, line, owner)


def _variable(part: dict[str, Any], name: str) -> str:
    """Return the variable that gets the value of an expression: by its default, or the first one of SELECT INTO."""
    variable: str = part.get("refname", "") if name == "default_val" else ""
    if name == "sqlstmt" and (row := part.get("target", {}).get("PLpgSQL_row")):
        variable = row["fields"][0]["name"]
    return variable


def _expression(expression: dict[str, Any], line: int, variable: str, *, is_dynamic: bool) -> BodyStatement:
    text, mode = expression["query"], expression["parseMode"]
    if mode > 2 and (assigned := ASSIGNED.match(text)):  # noqa: PLR2004 - 0: a statement, 2: an expression
        variable, text = assigned["variable"], text[assigned.end() :]
    text = text if mode == 0 else f"select {text}"
    return BodyStatement(line, text, parse_sql(text)[0].stmt, variable, is_dynamic)


def _is_safe(tree: Node, built: set[str], safe: set[str]) -> bool:
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


def _is_quoted(node: Node, safe: set[str]) -> bool:
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


def _formats_quoted(arguments: Sequence[Node], safe: set[str]) -> bool:
    """Return whether format() quotes its arguments, or those of `%s` need no quotes."""
    text = getattr(getattr(arguments[0], "val", None), "sval", None)
    places = [each for each in PLACEHOLDER.findall(text or "%*") if each[1] != "%"]
    unquoted = [int(number or place) for place, (number, kind) in enumerate(places, 1) if kind not in {"I", "L"}]
    # Not if `%1$s` and `%s` are mixed, or `*` takes the width from another argument.
    is_clear = len({bool(number) for number, _ in places}) == 1 and all(kind != "*" for _, kind in places)
    return not unquoted or (
        is_clear and all(each < len(arguments) and _is_quoted(arguments[each], safe) for each in unquoted)
    )
