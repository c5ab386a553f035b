"""Scans that no index serves: with sequential scans disabled, PostgreSQL still plans them."""

import re
from collections.abc import Iterator

from service.sqlcheck.analysis.description import Description, Plan
from service.sqlcheck.findings import Finding, finding_at, unless_accepted

INDEX_SCANS = {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
JOIN_CONDITIONS = ("Join Filter", "Hash Cond", "Merge Cond")
# Nodes that read all their input before they return the first row.
BLOCKING_NODES = {"Sort", "Aggregate", "Hash", "SetOp", "WindowAgg", "ModifyTable"}


def find_sequential_scans(description: Description) -> Iterator[Finding]:
    """Find the scans that no index serves, unless the header accepts them."""
    yield from unless_accepted(description.statement, "seqscan", _scans(description))


def _scans(description: Description) -> Iterator[Finding]:
    for node, join in _full_scans(description.plan) if description.plan else ():
        table, own = node["Relation Name"], node.get("Unserved Cond", node.get("Filter"))
        joined = join if re.search(rf'(?<!\w)"?{re.escape(node["Alias"])}"?\.', join) else None
        condition = " and ".join(each for each in (joined, own) if each)
        why = f"no index for {condition}" if condition else "no condition limits its rows"
        sentence = f"{node['Node Type'].lower()} of {table}: {why}"
        yield finding_at(description.statement, description.parsed.line_of_table(table), sentence, "seqscan")


def _full_scans(plan: Plan, *, limited: bool = False, join: str = "") -> Iterator[tuple[Plan, str]]:
    """Yield the scans of a whole table or of a whole index, except PostgreSQL's own, each with the join around it.

    :param limited: whether a LIMIT above stops the scan early; not if the rows are sorted, counted or hashed first
    """
    kind = plan["Node Type"]
    is_served = "Unserved Cond" not in plan and {"Index Cond", "Order By", "Recheck Cond"} & plan.keys()
    whole_index = kind in INDEX_SCANS and not is_served and not plan.get("Any Index")
    is_filtered = {"Unserved Cond", "Filter"} & plan.keys()
    is_full = (kind == "Seq Scan" and plan.get("Disabled")) or (whole_index and (is_filtered or not limited))
    if is_full and plan.get("Schema") != "pg_catalog":
        yield plan, join
    join = next((plan[each] for each in JOIN_CONDITIONS if each in plan), join)
    for child in plan.get("Plans", []):
        is_input = child.get("Parent Relationship") in {"Outer", "Inner", "Member"}
        passes_limit = limited and is_input and kind not in BLOCKING_NODES
        yield from _full_scans(child, limited=kind == "Limit" or passes_limit, join=join)
