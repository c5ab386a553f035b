"""Plans: with sequential scans disabled, a node that PostgreSQL cannot do without is a finding."""

from collections.abc import Iterator

from pglast import ast

from service.sqlcheck.description import Description, Plan
from service.sqlcheck.findings import Finding, finding_at, unless_accepted

WALKS = {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
# What takes all rows before it gives the first.
WHOLE = {"Sort", "Aggregate", "Hash", "SetOp", "WindowAgg", "ModifyTable"}


def find_sequential_scans(description: Description) -> Iterator[Finding]:
    """Find the scans that no index serves, unless the header accepts them with a reason."""
    yield from unless_accepted(description.statement, "seqscan", _scans(description))


def _scans(description: Description) -> Iterator[Finding]:
    for node in _reading_all(description.plan) if description.plan else ():
        table = node.get("Relation Name", "")
        condition = node.get("Filter") or node.get("Join Filter") or "no condition"
        sentence = f"no index serves the {node['Node Type'].lower()} of {table or 'a subquery'}: {condition}"
        yield finding_at(description.statement, _line(description, table), sentence, "seqscan")


def _reading_all(plan: Plan, *, ends: bool = False) -> Iterator[Plan]:
    """Yield the scans that no index shortens, also those that go through a whole index, in its order.

    :param ends: whether a limit above ends such a walk; not if it is sorted, counted or hashed first
    """
    kind = plan["Node Type"]
    walks = kind in WALKS and not {"Index Cond", "Order By", "Recheck Cond"} & plan.keys()
    if plan.get("Disabled") or (walks and ("Filter" in plan or not ends)):
        yield plan
    for child in plan.get("Plans", []):
        above = child.get("Parent Relationship")
        stays = above in {"Outer", "Inner", "Member"} and kind not in WHOLE
        yield from _reading_all(child, ends=kind == "Limit" or (ends and stays))


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
