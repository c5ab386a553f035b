"""A query plan, prepared for the page of the query."""

import re
from collections.abc import Iterator
from itertools import takewhile

import attrs

from service.sqlcheck import Index, Plan, Schema, qualified

CONDITIONS = (
    *("Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter", "One-Time Filter"),
    *("Conflict Filter", "Conflict Resolution", "Conflict Arbiter Indexes", "TID Cond", "Sort Key", "Group Key"),
)
# Matches the column of an equality condition, such as `(s.user_id = $2)` or `((s.email)::text = $1)`.
COLUMN = r'\(*"?(\w+)"?\."?(\w+)"?\)?(?:::[\w ]+)?'
EQUALITIES = (re.compile(f"{COLUMN} = "), re.compile(f" = {COLUMN}"))


@attrs.frozen
class PlanNode:
    """A node of a plan; `share` is its own part of the total cost, `measured` the result of its execution, if any."""

    title: str
    table: str
    index: str
    alias: str
    role: str
    conditions: tuple[tuple[str, str], ...]
    startup: float
    total: float
    rows: int
    share: float
    measured: str
    disabled: bool
    children: tuple["PlanNode", ...]

    @classmethod
    def of(cls, plan: Plan, whole: float | None = None) -> "PlanNode":
        """Convert a node of EXPLAIN's JSON output; `whole` is the cost of the whole plan, by default of this node."""
        whole = whole or plan["Total Cost"] or 1.0
        children = plan.get("Plans", [])
        own = max(0.0, plan["Total Cost"] - sum(child["Total Cost"] for child in children))
        table = plan.get("Relation Name", "")
        schema = plan.get("Schema", "public")  # is missing in a measured plan
        return cls(
            title=_title(plan),
            table=qualified(schema, table) if table else "",
            index=plan.get("Index Name", ""),
            alias=plan.get("Alias", "") if plan.get("Alias") != table else "",
            role=plan.get("Subplan Name", ""),
            conditions=tuple((key, _text(plan[key])) for key in CONDITIONS if plan.get(key)),
            startup=plan["Startup Cost"],
            total=plan["Total Cost"],
            rows=plan["Plan Rows"],
            share=min(1.0, own / whole),
            measured=_measured(plan),
            disabled=bool(plan.get("Disabled")),
            children=tuple(cls.of(child, whole) for child in children),
        )

    def nodes(self) -> Iterator["PlanNode"]:
        """Yield this node and its descendants."""
        yield self
        for child in self.children:
            yield from child.nodes()


def better_index(node: PlanNode, schema: Schema) -> Index | None:
    """Return an index that matches more conditions of the node than the chosen one, which empty tables hide."""
    table = schema.tables.get(node.table) if node.index else None
    chosen = next((index for index in table.indexes if index.name == node.index), None) if table else None
    if table is None or chosen is None or chosen.method.partition(" WHERE ")[0].count("(") > 1:
        return None  # the columns of an index on expressions are unknown
    texts = [text for key, text in node.conditions if key in {"Index Cond", "Filter"} and " OR " not in text]
    compared = [found for text in texts for pattern in EQUALITIES for found in pattern.findall(text)]
    given = {column for relation, column in compared if relation == (node.alias or table.relation)}

    def served(index: Index) -> tuple[bool, int]:
        leading = list(takewhile(given.__contains__, index.columns))
        return index.unique and len(leading) == len(index.columns), len(leading)

    best = max((index for index in table.indexes if index.plain and index.valid), key=served, default=chosen)
    return best if served(best) > served(chosen) else None


def _title(plan: Plan) -> str:
    kind: str = plan["Node Type"]
    if kind == "ModifyTable":
        return str(plan["Operation"])
    join = plan.get("Join Type", "Inner")
    if join != "Inner":
        kind = f"{kind} ({join.lower()} join)"
    if plan.get("Scan Direction") == "Backward":
        kind = f"{kind}, backward"
    if plan.get("Strategy") in {"Hashed", "Sorted"}:
        kind = f"{plan['Strategy']} {kind.lower()}"
    return kind


def _text(value: object) -> str:
    return ", ".join(str(each) for each in value) if isinstance(value, list) else str(value)


def _measured(plan: Plan) -> str:
    if "Actual Rows" not in plan:
        return ""
    loops, rows = plan["Actual Loops"], plan["Actual Rows"]
    if not loops:
        return "never run"
    times = f", {loops:g} times" if loops > 1 else ""
    blocks = plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0)
    return f"{rows:g} {'row' if rows == 1 else 'rows'}{times}, {blocks} blocks"
