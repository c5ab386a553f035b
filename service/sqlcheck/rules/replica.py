"""Queries marked `replica: ok`: they must only read, because a replica can run them."""

from collections.abc import Collection, Iterator

from service.postgres import Cardinality
from service.sqlcheck.analysis.parse_tree import Node, ParsedQuery
from service.sqlcheck.findings import Problem

REPLICA_CARDINALITIES = {Cardinality.MAYBE, Cardinality.MANY}
WRITES = {"InsertStmt": "insert", "UpdateStmt": "update", "DeleteStmt": "delete", "MergeStmt": "merge"}


def check_replica_marker(parsed: ParsedQuery, volatile: Collection[str]) -> Iterator[Problem]:
    """Find marked queries that a replica cannot run; `volatile` are the names of volatile functions."""
    statement = parsed.statement
    for marker in statement.replica:
        if statement.cardinality not in REPLICA_CARDINALITIES:
            sentence = f"'replica: ok' is for maybe and many, but this returns {statement.cardinality}"
            yield "replica", marker.line, sentence
        for node in parsed.nodes:
            if what := _write(node, volatile):
                yield "replica", parsed.line_of(node), f"'replica: ok' is for queries that only read, but {what}"


def _write(node: Node, volatile: Collection[str]) -> str:
    """Return why a node is not read-only, as a clause; an empty string if it is."""
    kind = type(node).__name__
    if kind in WRITES:
        return f"{WRITES[kind]} writes"
    if kind == "LockingClause":
        return "a row lock is a write"
    if kind == "FuncCall" and node.funcname[-1].sval in volatile:
        return f"{node.funcname[-1].sval}() is volatile"
    return ""
