"""Statements of migrations that change or copy the rows of a whole table, and so keep it locked."""

from collections.abc import Iterator, Sequence
from typing import Any

from pglast.enums import A_Expr_Kind, BoolExprType, CmdType, MergeMatchKind, NullTestType, SubLinkType

from service.sqlcheck.analysis.parse_tree import ParseNode, walk_parsed
from service.sqlcheck.migrations.lock_step import Step

COPIES = {"InsertStmt", "CreateTableAsStmt"}


def find_whole_tables(step: Step) -> Iterator[tuple[str, str]]:
    """Find changes of all rows of a table, and changes or copies of rows while a table is locked for readers."""
    unreadable = f"while {step.unreadable[0]} is locked, for readers too" if step.unreadable else ""
    for node in step.nodes:
        kind = type(node).__name__
        if _changes_rows(node) and step.in_use(table := step.name(node.relation)):
            verb = kind.removesuffix("Stmt").lower()
            if unreadable:
                yield "whole-table", f"{verb} of {table} {unreadable}: use another migration"
            elif not _limits_rows(step, node):
                yield "whole-table", f"{verb} of all rows of {table}, which stay locked: do it in batches"
        elif unreadable and kind in COPIES and (read := _tables_read(step, node)):
            yield "whole-table", f"{read[0]} is read {unreadable}: use another migration"


def _tables_read(step: Step, node: ParseNode) -> list[str]:
    """Return the tables in use from which INSERT or CREATE TABLE AS copies rows."""
    source = node.selectStmt if type(node).__name__ == "InsertStmt" else None if node.into.skipData else node.query
    return [
        *filter(step.in_use, (step.name(each) for each in walk_parsed(source) if type(each).__name__ == "RangeVar"))
    ]


def _changes_rows(node: ParseNode) -> bool:
    """Return whether a statement updates or deletes rows."""
    whens = getattr(node, "mergeWhenClauses", None) or ()
    changed = {each.commandType for each in whens} & {CmdType.CMD_UPDATE, CmdType.CMD_DELETE}
    return type(node).__name__ in {"UpdateStmt", "DeleteStmt"} or bool(changed)


def _limits_rows(step: Step, node: ParseNode) -> bool:
    """Return whether a condition limits the rows that a statement changes: a join with a table in use does not."""
    if type(node).__name__ == "MergeStmt":
        if any(each.matchKind == MergeMatchKind.MERGE_WHEN_NOT_MATCHED_BY_SOURCE for each in node.mergeWhenClauses):
            return False
        sources, where = [node.sourceRelation], node.joinCondition
    else:
        sources, where = getattr(node, "fromClause", None) or getattr(node, "usingClause", None) or [], node.whereClause
    ctes = node.withClause.ctes if node.withClause else ()
    joined = bool(sources) and not _picks(step, (*sources, *ctes))
    filled = {each.name for each in getattr(node, "targetList", None) or ()}
    return any(_is_limit(step, part, filled, joined=joined) for part in _parts(where))


def _parts(where: Any) -> Sequence[Any]:  # noqa: ANN401 - a node, or None
    is_and = type(where).__name__ == "BoolExpr" and where.boolop == BoolExprType.AND_EXPR
    return where.args if is_and else [where]


def _picks(step: Step, sources: Sequence[ParseNode]) -> bool:
    """Return whether joined tables and subqueries have fewer rows than tables in use, or than groups of their rows."""
    nodes = walk_parsed(tuple(sources))
    defined = {each.ctename for each in nodes if type(each).__name__ == "CommonTableExpr"}
    tables = [each for each in nodes if type(each).__name__ == "RangeVar" and each.relname not in defined]
    wheres = [getattr(each, "whereClause", None) or getattr(each, "quals", None) for each in nodes]
    limits = ("limitCount", "havingClause", "valuesLists")
    return (
        not tables
        or not all(step.in_use(step.name(each)) for each in tables)
        or any(getattr(each, name, None) for each in nodes for name in limits)
        or any(_is_limit(step, part, set(), joined=True) for where in wheres for part in _parts(where))
    )


def _is_limit(step: Step, part: Any, filled: set[str], *, joined: bool) -> bool:  # noqa: ANN401 - a node, or None
    """Return whether a part of a condition is more than a join with a table in use, as `in (select …)` can be one.

    :param filled: the columns that are set: `is null` and `is distinct from` hold for all rows before that
    """
    if getattr(part, "subLinkType", None) in {SubLinkType.EXISTS_SUBLINK, SubLinkType.ANY_SUBLINK}:
        return bool(part.subselect.groupClause) or _picks(step, [part.subselect])
    columns = [
        [getattr(field, "sval", "*") for field in each.fields]
        for each in walk_parsed(part)
        if type(each).__name__ == "ColumnRef"
    ]
    is_null = getattr(part, "nulltesttype", None) == NullTestType.IS_NULL
    is_distinct = getattr(part, "kind", None) == A_Expr_Kind.AEXPR_DISTINCT
    if (is_null or is_distinct) and any(names[-1] in filled for names in columns):
        return False
    # The table of each column, or the column itself if it is unqualified; that can be of any table.
    tables = {names[0] for names in columns}
    return bool(tables) and (not joined or len(tables) < 2)  # noqa: PLR2004 - a join names two
