"""Statements that PostgreSQL accepts but the service must not run: session state, DDL, `*`, writes on a replica."""

from collections.abc import Collection, Iterator

from pglast import ast
from pglast.enums import SubLinkType

from service.postgres import Cardinality
from service.sqlcheck.analysis.description import QUERIES, Description
from service.sqlcheck.analysis.parse_tree import ParsedQuery, ParseNode, walk_parsed
from service.sqlcheck.findings import Problem

# Statements that change the state of the session; pooled connections are reused without a reset.
STATE_STATEMENTS = {
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
EXISTS = SubLinkType.EXISTS_SUBLINK
REPLICA_CARDINALITIES = {Cardinality.MAYBE, Cardinality.MANY}
WRITES = {"InsertStmt": "insert", "UpdateStmt": "update", "DeleteStmt": "delete", "MergeStmt": "merge"}
OUTLIVES_STATEMENT = "outlives the statement on a connection that other requests use"


def check_hygiene(description: Description) -> Iterator[Problem]:
    """Find changes of session state, statements that are not queries, `*`, and writes in a query for replicas."""
    parsed = description.parsed
    states = list(connection_state(parsed.tree))
    if not any(node is parsed.tree for node, _ in states) and (
        not isinstance(parsed.tree, QUERIES) or getattr(parsed.tree, "intoClause", None)
    ):
        sentence = "a query is a select, insert, update, delete or merge; schema changes are migrations"
        yield "not-a-query", parsed.line, sentence
    for node, what in states:
        yield "session-state", parsed.line_of(node), f"{what} {OUTLIVES_STATEMENT}"
    exists = [node.subselect for node in parsed.nodes if getattr(node, "subLinkType", None) == EXISTS]
    unread = {id(target) for query in exists for target in query.targetList or ()}
    for node in parsed.nodes:
        if isinstance(node, ast.ResTarget) and _is_star(node.val) and id(node) not in unread:
            yield "star", parsed.line_of(node), "name the columns: `*` changes with the table while code runs"
    yield from _check_replica_marker(parsed, description.catalogue.volatile_names)


def connection_state(tree: ParseNode) -> Iterator[tuple[ParseNode, str]]:
    """Yield the nodes of a statement that change the state of the session, and their names."""
    for node in walk_parsed(tree):
        kind = type(node).__name__
        # SET LOCAL has no effect outside a transaction.
        if kind in STATE_STATEMENTS and not getattr(node, "is_local", False):
            yield node, STATE_STATEMENTS[kind]
        elif kind == "RangeVar" and node.relpersistence == "t":
            yield node, "a temporary table"
        elif kind == "FuncCall":
            name = node.funcname[-1].sval
            if (name in STATE_FUNCTIONS or name.startswith(SESSION_LOCKS)) and not _is_local(node):
                yield node, f"{name}()"


def _is_local(call: ParseNode) -> bool:
    """Return whether a call is ``set_config(…, …, true)``, whose effect ends with the statement."""
    last = call.args[-1] if call.args else None
    value = getattr(last, "arg", last)  # of `is_local => true`
    return call.funcname[-1].sval == "set_config" and bool(getattr(getattr(value, "val", None), "boolval", False))


def _is_star(node: ParseNode) -> bool:
    """Return whether a node is ``*``, ``pets.*`` or ``(f()).*``."""
    parts = getattr(node, "fields", None) or getattr(node, "indirection", None) or ()
    return any(type(part).__name__ == "A_Star" for part in parts)


def _check_replica_marker(parsed: ParsedQuery, volatile: Collection[str]) -> Iterator[Problem]:
    """Find marked queries that a replica cannot run; `volatile` are the names of volatile functions."""
    statement = parsed.statement
    for marker in statement.replica:
        if statement.cardinality not in REPLICA_CARDINALITIES:
            sentence = f"'replica: ok' is for maybe and many, but this returns {statement.cardinality}"
            yield "replica", marker.line, sentence
        for node in parsed.nodes:
            if what := _what_writes(node, volatile):
                yield "replica", parsed.line_of(node), f"'replica: ok' is for queries that only read, but {what}"


def _what_writes(node: ParseNode, volatile: Collection[str]) -> str:
    """Return why a node is not read-only, as a clause; an empty string if it is."""
    kind = type(node).__name__
    if kind in WRITES:
        return f"{WRITES[kind]} writes"
    if kind == "LockingClause":
        return "a row lock is a write"
    if kind == "FuncCall" and node.funcname[-1].sval in volatile:
        return f"{node.funcname[-1].sval}() is volatile"
    return ""
