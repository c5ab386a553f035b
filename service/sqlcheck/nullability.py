"""Nullability: which columns of a result may be null, by PostgreSQL's plan and parse tree.

A column is not null if its table says so and no outer join lies between the table and the result. Joins are read from
the plan, not from the text: there views and functions are inlined, and an outer join that a condition turns into an
inner one is one. Expressions are judged where that is certain (comparisons, `is null`, coalesce, count …).

A result whose first column is null means "nothing" (docs/sql.md): Database.maybe and .many make no row of it. What is
null only together with the first column is therefore never null in a row.

Not seen through: union and the like, partitions, grouping sets, functions that are not inlined. There the header says
`not null: column`, or the class allows None.
"""

import re
from collections.abc import Collection, Iterator

import attrs
from pglast import ast
from pglast.enums import A_Expr_Kind, SQLValueFunctionOp, SubLinkType

from service.postgres import Cardinality
from service.sqlcheck.code import QueryReference, Row
from service.sqlcheck.description import Column, Description, Plan
from service.sqlcheck.findings import Finding, finding_at
from service.sqlcheck.parse_tree import Node, target_name, targets
from service.sqlcheck.plans import nodes

REFERENCE = re.compile(r'(?:"?(?P<alias>[^".]+)"?\.)?"?(?P<column>[^".()\' ]+)"?')
# Operators and functions that return null only for null, on all of PostgreSQL's own types.
STRICT = {"=", "<>", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "||"}
NEVER_NULL = {"count", "now", "clock_timestamp", "gen_random_uuid", "uuidv7", "nextval", "row_number", "rank"}
OPAQUE = {"Append", "Merge Append", "Recursive Union", "SetOp"}
Joins = frozenset[int]


@attrs.frozen
class Nullability:
    """When a value is null: by which outer joins, by itself and why; or nobody knows."""

    joins: Joins = frozenset()
    itself: str = ""
    known: bool = True

    @property
    def never(self) -> bool:
        """Whether it is certain that there is no null."""
        return self.known and not self.joins and not self.itself


NEVER, UNKNOWN = Nullability(), Nullability(known=False)


def column_nullability(description: Description, not_null: Collection[tuple[str, str, str]]) -> list[Nullability]:
    """Judge each column of the result."""
    statement, expressions = description.statement, description.parsed.targets()
    if description.plan is None or len(expressions) != len(description.columns):
        return [UNKNOWN] * len(description.columns)
    judge = _Judge(description, not_null)
    found = judge.outputs(expressions, description.plan)
    nothing = statement.cardinality == Cardinality.MAYBE or (
        statement.cardinality == Cardinality.MANY and statement.of_session
    )
    if nothing and found and found[0].known and not found[0].itself:
        found = [attrs.evolve(nulls, joins=nulls.joins - found[0].joins) for nulls in found]
    return found


def check_nullability(
    description: Description, reference: QueryReference | None, not_null: Collection[tuple[str, str, str]]
) -> Iterator[Finding]:
    """Compare what may be null with what class and header say."""
    statement = description.statement
    names = {column.name for column in description.columns}
    for marker in statement.not_null:
        if marker.name not in names:
            yield finding_at(statement, marker.line, f"'not null' names {marker.name}, which is no column", "marker")
    owner, optional = _expected(description, reference)
    if not optional or 0 < len(description.parsed.targets()) != len(names):  # `*` is a finding of its own
        return
    for number, (column, nulls) in enumerate(
        zip(description.columns, column_nullability(description, not_null), strict=True)
    ):
        for marker in statement.not_null:
            if marker.name == column.name and (wrong := _wrong(nulls, optional=optional[number])):
                yield finding_at(statement, marker.line, f"'not null: {column.name}' {wrong}", "marker")
        if any(marker.name == column.name for marker in statement.not_null) or optional[number] or nulls.never:
            continue
        yield _finding(description, column, nulls, f"column {number + 1}", owner)


def _expected(description: Description, reference: QueryReference | None) -> tuple[str, list[bool]]:
    """Return whose fields the columns become, and which of them may be None; none where nothing can be said."""
    row = reference.row if reference else None
    if isinstance(row, Row) and len(row.fields) == len(description.columns):
        return f"{row.name}.", [field.annotation.optional for field in row.fields]
    if description.statement.cardinality == Cardinality.VALUE and len(description.columns) == 1:
        return "the header's ", [description.statement.row_nullable]
    return "", []


def _wrong(nulls: Nullability, *, optional: bool) -> str:
    if nulls.never:
        return "says what PostgreSQL says anyway: remove it"
    if nulls.known and nulls.joins:
        return "is wrong: an outer join makes it null"
    return "is needless: the class allows None" if optional else ""


def _finding(description: Description, column: Column, nulls: Nullability, what: str, owner: str) -> Finding:
    if not nulls.known:
        sentence = f"{what} ({column.name}) may be null for all that PostgreSQL tells: allow None, or say "
        return finding_at(description.statement, column.line, f"{sentence}'not null: {column.name}'", "null-unknown")
    why = nulls.itself or "an outer join makes it so"
    sentence = f"{what} may be null ({why}), {owner}{column.name} does not allow None"
    return finding_at(description.statement, column.line, sentence, "nullability")


class _Judge:
    """Follows columns through a plan to their tables."""

    def __init__(self, description: Description, not_null: Collection[tuple[str, str, str]]) -> None:
        self._described = description
        self._not_null = not_null
        self._inside = description.parsed.queries_inside()
        self._tables = description.parsed.tables()
        self._renamed = description.parsed.renamed()

    def outputs(self, expressions: "Collection[Node]", plan: Plan) -> list[Nullability]:
        """Judge what a plan puts out; its first outputs are the targets, in order."""
        texts = plan.get("Output", [])
        if len(texts) < len(expressions) or any("Grouping Sets" in node for node in nodes(plan)):
            return [UNKNOWN] * len(expressions)
        return [self._expression(each.val, plan, text) for each, text in zip(expressions, texts, strict=False)]

    def _expression(self, node: Node, plan: Plan, text: str = "") -> Nullability:  # noqa: C901, PLR0911, PLR0912 - a table of cases
        match type(node).__name__:
            case "ColumnRef":
                return self._reference(node, plan, text)
            case "ParamRef":
                parameter = self._described.statement.parameters[node.number - 1]
                return Nullability(itself=f"${node.number} may be null") if parameter.nullable else NEVER
            case "A_Const":
                return Nullability(itself="null") if node.isnull else NEVER
            case "NullTest" | "BooleanTest" | "A_ArrayExpr" | "RowExpr":
                return NEVER
            case "TypeCast":
                return self._expression(node.arg, plan)
            case "SQLValueFunction":
                return UNKNOWN if node.op == SQLValueFunctionOp.SVFOP_CURRENT_SCHEMA else NEVER
            case "SubLink":
                return NEVER if node.subLinkType == SubLinkType.EXISTS_SUBLINK else UNKNOWN
            case "FuncCall":
                return NEVER if node.funcname[-1].sval in NEVER_NULL else UNKNOWN
            case "CoalesceExpr" | "MinMaxExpr":
                # Null only where each of them is: one that is well known says enough.
                found = [self._expression(each, plan) for each in node.args]
                known = [nulls for nulls in found if nulls.known and not nulls.itself]
                return min(known, key=lambda nulls: len(nulls.joins), default=UNKNOWN)
            case "BoolExpr":
                return self._all(node.args, plan)
            case "CaseExpr":
                results = [*(when.result for when in node.args), *([node.defresult] if node.defresult else [])]
                return self._all(results, plan) if node.defresult else UNKNOWN
            case "A_Expr":
                return self._operator(node, plan)
            case _:
                return UNKNOWN

    def _operator(self, node: Node, plan: Plan) -> Nullability:
        if node.kind in {A_Expr_Kind.AEXPR_DISTINCT, A_Expr_Kind.AEXPR_NOT_DISTINCT}:
            return NEVER
        if node.kind != A_Expr_Kind.AEXPR_OP or node.name[-1].sval not in STRICT:
            return UNKNOWN
        return self._all([side for side in (node.lexpr, node.rexpr) if side], plan)

    def _all(self, expressions: Collection[Node], plan: Plan) -> Nullability:
        """Judge what is null if one of several is."""
        found = [self._expression(each, plan) for each in expressions]
        return Nullability(
            joins=frozenset().union(*(nulls.joins for nulls in found)),
            itself=next((nulls.itself for nulls in found if nulls.itself), ""),
            known=all(nulls.known for nulls in found),
        )

    def _reference(self, node: Node, plan: Plan, text: str) -> Nullability:
        """Judge a column: by the plan's own word for it where there is one, else by the name in the statement."""
        if text:
            match = REFERENCE.fullmatch(text)
            if match is None:
                return UNKNOWN
            if text.startswith("$"):
                return self._expression(ast.ParamRef(number=int(text[1:])), plan)
            alias, column, table = match["alias"], match["column"], None
        else:
            # Inside an expression there is the statement's name only: certain where it is that of one table.
            *qualifier, column = [part.sval for part in node.fields]
            names = qualifier[-1:] or [*self._tables, *self._described.parsed.other_sources()]
            alias = names[0] if len(names) == 1 else ""
            table = self._tables.get(alias, "")
        candidates = [
            (scan, joins)
            for scan, joins in _scans(plan)
            if alias in {None, scan["Alias"]} and table in {None, scan.get("Relation Name")}
        ]
        if not candidates or (alias is None and len({scan["Alias"] for scan, _ in candidates}) > 1):
            return UNKNOWN
        if candidates[0][0]["Alias"] in self._renamed:
            return UNKNOWN
        scan, joins = candidates[0]
        if table and any(re.fullmatch(rf"{re.escape(scan['Alias'])}_\d+", each["Alias"]) for each, _ in _scans(plan)):
            return UNKNOWN  # the plan has numbered two of a name, and does not tell which is the statement's
        inner = self._column(scan, column)
        return attrs.evolve(inner, joins=inner.joins | joins)

    def _column(self, scan: Plan, column: str) -> Nullability:
        """Judge a column of what a node scans: a table, a common table expression, a subquery."""
        if table := scan.get("Relation Name"):
            known = (scan["Schema"], table, column) in self._not_null
            return NEVER if known else Nullability(itself=f"{table}.{column} allows it")
        name = scan.get("CTE Name") or scan["Alias"]
        query, source = self._inside.get(name), self._source(scan)
        if query is None or source is None or name in self._renamed:
            return UNKNOWN
        expressions = targets(query)
        names = [target_name(target) for target in expressions]
        return self.outputs(expressions, source)[names.index(column)] if names.count(column) == 1 else UNKNOWN

    def _source(self, scan: Plan) -> Plan | None:
        if scan["Node Type"] == "Subquery Scan":
            source: Plan = scan["Plans"][0]
            return source
        wanted = f"CTE {scan.get('CTE Name')}"
        plan = self._described.plan or {}
        return next((node for node in nodes(plan) if node.get("Subplan Name") == wanted), None)


def _scans(node: Plan, joins: Joins = frozenset()) -> Iterator[tuple[Plan, Joins]]:
    """Return what a plan reads, and the outer joins that may make it null."""
    if node["Node Type"] in OPAQUE:
        return
    if "Alias" in node:
        yield node, joins
    if node["Node Type"] == "Subquery Scan":
        return
    for child in node.get("Plans", []):
        side = child.get("Parent Relationship")
        nulled = (node.get("Join Type"), side) in {
            ("Left", "Inner"),
            ("Right", "Outer"),
            ("Full", "Inner"),
            ("Full", "Outer"),
            # A left join of which only the rows without a partner are wanted.
            ("Anti", "Inner"),
            ("Right Anti", "Outer"),
        }
        if side not in {"InitPlan", "SubPlan"}:
            yield from _scans(child, joins | {id(node)} if nulled else joins)
