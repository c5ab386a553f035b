"""Plans: with sequential scans disabled, a node that PostgreSQL cannot do without is a finding."""

from collections.abc import Iterator

from pglast import ast

from service.sqlcheck.columns import at
from service.sqlcheck.described import Described, Plan
from service.sqlcheck.findings import Finding


def sequential_scans(described: Described) -> Iterator[Finding]:
    """Find the scans that no index serves, unless the header accepts them with a reason."""
    statement = described.statement
    accepted = next((marker for marker in statement.accepted if marker.name == "seqscan"), None)
    disabled = [node for node in nodes(described.plan) if _reads_all(node)] if described.plan else []
    if accepted and not disabled:
        yield at(statement, accepted.line, "'seqscan: ok' accepts what is not there: remove it", "marker")
    if accepted:
        return
    for node in disabled:
        table = node.get("Relation Name", "")
        condition = node.get("Filter") or node.get("Join Filter") or "no condition"
        sentence = f"no index serves the {node['Node Type'].lower()} of {table or 'a subquery'}: {condition}"
        yield at(statement, _line(described, table), sentence, "seqscan")


def _reads_all(node: Plan) -> bool:
    """Tell a scan that no index shortens, also one that goes through a whole index, in its order, and sorts out."""
    walks = node["Node Type"] in {"Index Scan", "Index Only Scan"} and "Filter" in node
    return bool(node.get("Disabled")) or (walks and not {"Index Cond", "Order By"} & node.keys())


def nodes(plan: Plan) -> Iterator[Plan]:
    """Return each node of a plan, from the top down."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def _line(described: Described, table: str) -> int:
    """Return the line that names the table, or the statement's first where a function or a view does."""
    for node in described.parsed.nodes:
        if isinstance(node, ast.RangeVar) and node.relname == table:
            return described.parsed.line_of(node)
    return described.parsed.line
