"""Hygiene: what PostgreSQL would run, and this service must not."""

import ast
from collections.abc import Iterator

from pglast import ast as ast_of_sql

from service.sqlcheck.code import Code, Module
from service.sqlcheck.description import QUERIES
from service.sqlcheck.findings import Finding, finding_at
from service.sqlcheck.parse_tree import Node, ParsedQuery, walk

# What outlives its statement on a connection that is handed on without a reset.
STATES = {
    "VariableSetStmt": "SET",
    "ListenStmt": "LISTEN",
    "UnlistenStmt": "UNLISTEN",
    "DeclareCursorStmt": "DECLARE CURSOR",
    "PrepareStmt": "PREPARE",
    "DeallocateStmt": "DEALLOCATE",
    "DiscardStmt": "DISCARD",
    "LoadStmt": "LOAD",
}
STATE_FUNCTIONS = {"set_config", "setseed", "currval", "lastval"}
SESSION_LOCKS = ("pg_advisory_lock", "pg_advisory_unlock", "pg_try_advisory_lock")
OUTLIVES = "outlives the statement on a connection that other requests use"
# The methods of asyncpg's and psycopg's connections and cursors that take SQL as their first argument.
RUNNERS = {
    "execute",
    "executemany",
    "fetch",
    "fetchrow",
    "fetchval",
    "fetchmany",
    "prepare",
    "cursor",
    "copy",
    "stream",
}


def check_statement(parsed: ParsedQuery) -> Iterator[Finding]:
    """Find what changes the state of a connection, what is no query, and `*`."""
    states = list(connection_state(parsed.tree))
    if not any(node is parsed.tree for node, _ in states) and (
        not isinstance(parsed.tree, QUERIES) or getattr(parsed.tree, "intoClause", None)
    ):
        sentence = "a query is a select, insert, update, delete or merge; schema changes are migrations"
        yield finding_at(parsed.statement, parsed.line, sentence, "not-a-query")
    for node, what in states:
        yield finding_at(parsed.statement, parsed.line_of(node), f"{what} {OUTLIVES}", "session-state")
    for node in parsed.nodes:
        if isinstance(node, ast_of_sql.ResTarget) and _is_star(node.val):
            sentence = "name the columns: what `*` stands for changes with the table, under code that runs"
            yield finding_at(parsed.statement, parsed.line_of(node), sentence, "star")


def connection_state(tree: Node) -> Iterator[tuple[Node, str]]:
    """Yield what a statement leaves behind on its connection, and what it is called."""
    for node in walk(tree):
        kind = type(node).__name__
        if kind in STATES and not getattr(node, "is_local", False):  # SET LOCAL alone does nothing at all
            yield node, STATES[kind]
        elif kind == "RangeVar" and node.relpersistence == "t":
            yield node, "a temporary table"
        elif kind == "FuncCall":
            name = node.funcname[-1].sval
            if (name in STATE_FUNCTIONS or name.startswith(SESSION_LOCKS)) and not _is_local(node):
                yield node, f"{name}()"


def _is_local(call: Node) -> bool:
    """Tell whether it is ``set_config(…, …, true)``, which ends with the statement."""
    last = call.args[-1] if call.args else None
    return call.funcname[-1].sval == "set_config" and bool(getattr(getattr(last, "val", None), "boolval", False))


def _is_star(node: Node) -> bool:
    """Tell whether it is ``*``, ``pets.*`` or ``(f()).*``."""
    parts = getattr(node, "fields", None) or getattr(node, "indirection", None) or ()
    return any(type(part).__name__ == "A_Star" for part in parts)


def find_built_sql(code: Code) -> Iterator[Finding]:
    """Find SQL that Python puts together from strings; psycopg.sql composes what must be composed."""
    for module in code.modules.values():
        names = _built_names(module)
        for node in module.source.calls:
            texts = [*node.args[:1], *(each.value for each in node.keywords if each.arg in {"query", "sql", "command"})]
            if isinstance(node.func, ast.Attribute) and node.func.attr in RUNNERS and texts:
                text = texts[0]
                if _is_built(text) or (isinstance(text, ast.Name) and text.id in names):
                    sentence = "SQL built from strings: put it into sql/ with a $n for what varies"
                    yield Finding(module.path.as_posix(), node.lineno, sentence, "built-sql")


def _built_names(module: Module) -> set[str]:
    """Return the variables that are given a built string anywhere in the module."""
    return {
        target.id
        for node in module.source.assignments
        if node.value and (_is_built(node.value) or (isinstance(node, ast.AugAssign) and _has_text(node.value)))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }


def _is_built(node: ast.expr) -> bool:
    """Tell whether a string is put together here: f"…{x}", "…" + x, "…" % x, "…".format(x), "…".join(x)."""
    match node:
        case ast.JoinedStr():
            return any(isinstance(part, ast.FormattedValue) for part in node.values)
        case ast.BinOp(op=ast.Add() | ast.Mod()):
            return _has_text(node.left) or _has_text(node.right)
        case ast.Call(func=ast.Attribute(value=receiver, attr="format" | "join" | "replace")) if _has_text(receiver):
            return True
        case ast.Call():  # f"…".strip(), dedent(f"…"), sql.SQL(f"…")
            receiver = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            return any(_is_built(each) for each in (receiver, *node.args))
        case ast.NamedExpr() | ast.IfExp():
            return any(_is_built(each) for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr))
        case _:
            return False


def _has_text(node: ast.expr) -> bool:
    """Tell whether a string, or one that is built, is at hand; ``sql.SQL("…")`` is none."""
    return (isinstance(node, ast.Constant) and isinstance(node.value, str)) or _is_built(node)
