"""What a header marks `replica: ok` only reads: a standby may answer it."""

from collections.abc import Collection, Iterator

from service.postgres import Cardinality
from service.sqlcheck.findings import Finding, finding_at
from service.sqlcheck.parse_tree import Node, ParsedQuery

READ_THERE = {Cardinality.MAYBE, Cardinality.MANY}
CHANGES = {"InsertStmt": "insert", "UpdateStmt": "update", "DeleteStmt": "delete", "MergeStmt": "merge"}


def check_replica_marker(parsed: ParsedQuery, volatile: Collection[str]) -> Iterator[Finding]:
    """Find what a standby cannot do; `volatile` are the names of the functions that PostgreSQL calls so."""
    statement = parsed.statement
    for marker in statement.replica:
        if statement.cardinality not in READ_THERE:
            sentence = f"'replica: ok' is for maybe and many, and this returns {statement.cardinality}"
            yield finding_at(statement, marker.line, sentence, "replica")
        for node in parsed.nodes:
            if what := _writes(node, volatile):
                sentence = f"'replica: ok' is for what only reads, and {what}"
                yield finding_at(statement, parsed.line_of(node), sentence, "replica")


def _writes(node: Node, volatile: Collection[str]) -> str:
    """Say what a part does that no standby can, or that a read may not; nothing, where it reads."""
    kind = type(node).__name__
    if kind in CHANGES:
        return f"{CHANGES[kind]} writes"
    if kind == "LockingClause":
        return "a lock on rows is written down"
    if kind == "FuncCall" and node.funcname[-1].sval in volatile:
        return f"{node.funcname[-1].sval}() is volatile"
    return ""
