"""Plans: with sequential scans disabled, a node that PostgreSQL cannot do without is a finding."""

from collections.abc import Iterator

from pglast import ast

from service.sqlcheck.description import Description, Plan
from service.sqlcheck.findings import Finding, finding_at


def find_sequential_scans(description: Description) -> Iterator[Finding]:
    """Find the scans that no index serves, unless the header accepts them with a reason."""
    statement = description.statement
    accepted = next((marker for marker in statement.accepted if marker.name == "seqscan"), None)
    disabled = [node for node in nodes(description.plan) if _reads_all(node)] if description.plan else []
    if accepted and not disabled:
        yield finding_at(statement, accepted.line, "'seqscan: ok' accepts what is not there: remove it", "marker")
    if accepted:
        return
    for node in disabled:
        table = node.get("Relation Name", "")
        condition = node.get("Filter") or node.get("Join Filter") or "no condition"
        sentence = f"no index serves the {node['Node Type'].lower()} of {table or 'a subquery'}: {condition}"
        yield finding_at(statement, _line(description, table), sentence, "seqscan")


def _reads_all(node: Plan) -> bool:
    """Tell a scan that no index shortens, also one that goes through a whole index, in its order, and sorts out."""
    walks = node["Node Type"] in {"Index Scan", "Index Only Scan"} and "Filter" in node
    return bool(node.get("Disabled")) or (walks and not {"Index Cond", "Order By"} & node.keys())


def nodes(plan: Plan) -> Iterator[Plan]:
    """Return each node of a plan, from the top down."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def _line(description: Description, table: str) -> int:
    """Return the line that names the table, or the statement's first where a function or a view does."""
    for node in description.parsed.nodes:
        if isinstance(node, ast.RangeVar) and node.relname == table:
            return description.parsed.line_of(node)
    return description.parsed.line
