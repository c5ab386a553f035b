"""Scans that no index serves: with sequential scans disabled, PostgreSQL still plans them."""

import re
from collections.abc import Iterator

from service.sqlcheck.analysis.description import Description
from service.sqlcheck.analysis.planner import full_scans
from service.sqlcheck.findings import Problem


def find_sequential_scans(description: Description) -> Iterator[Problem]:
    """Find the scans that no index serves."""
    for node, join in full_scans(description.plan) if description.plan else ():
        table, own = node["Relation Name"], node.get("Unserved Cond", node.get("Filter"))
        if table in description.catalogue.single_row_tables:
            continue
        joined = join if re.search(rf'(?<!\w)"?{re.escape(node["Alias"])}"?\.', join) else None
        condition = " and ".join(each for each in (joined, own) if each)
        why = f"no index for {condition}" if condition else "no condition limits its rows"
        yield "seqscan", description.parsed.line_of_table(table), f"{node['Node Type'].lower()} of {table}: {why}"
