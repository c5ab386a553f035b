"""Rules about statements of migrations that block access to tables in use, by the schema before and after them.

This covers DO blocks and constraints, too, and works on empty tables: a rewritten table has another file, and
PostgreSQL reports at level DEBUG1 which tables it scans.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
from pglast import parse_sql
from pglast.enums import A_Expr_Kind, BoolExprType, CmdType, MergeMatchKind, NullTestType, SubLinkType
from pglast.parser import ParseError

from service.migrate import after_comments
from service.sqlcheck.analysis.parse_tree import Node, walk
from service.sqlcheck.migrations.functions import FunctionSource, plpgsql_statements
from service.sqlcheck.migrations.lock_state import WAITS, State
from service.sqlcheck.migrations.schema import qualified, schema_and_name

NO_READERS = "AccessExclusiveLock"
IMPLIED = "is implied by existing constraints"
# What to do instead of a statement that rewrites a table; for all others: expand, fill, contract.
INSTEAD = {
    "TruncateStmt": "delete its rows in batches instead",
    "RefreshMatViewStmt": "refresh it concurrently instead",
    "ClusterStmt": "rewrite it online instead, as pg_repack does",
    "VacuumStmt": "rewrite it online instead, as pg_repack does",
}
HIDES_STATEMENTS = re.compile(r"(do|select|with|call|update|insert|delete|merge)\b", re.IGNORECASE)


@attrs.frozen
class Step:
    """A statement, the state before and after it and at the start of its migration, and PostgreSQL's messages.

    `functions`: those that the statement may call.
    """

    statement: str
    before: State
    after: State
    start: State
    notices: list[str]
    functions: list[FunctionSource]

    def in_use(self, table: str) -> bool:
        """Return whether a table existed before the migration, maybe with another name, and still does."""
        oid, _ = self.before.tables.get(table, (0, 0))
        return oid in self.start.names and oid == self.after.tables.get(table, (0, 0))[0]

    def name(self, table: Node) -> str:
        """Return the full name of a table in a statement."""
        visible = self.before.visible.get(table.relname, "")
        return qualified(table.schemaname, table.relname) if table.schemaname else visible

    def is_scanned(self, table: str) -> bool:
        """Return whether PostgreSQL has read all rows of a table, or of one with its name in another schema."""
        return f'verifying table "{schema_and_name(table)[1]}"' in self.notices

    def blocks_writers(self, table: str) -> bool:
        """Return whether the transaction holds a lock that blocks writers of a table."""
        return "writers" in WAITS[self.after.locks.get(table, "AccessShareLock")]


def check_step(step: Step) -> Iterator[tuple[str, str]]:
    """Yield the findings: the name of the check, and a sentence."""
    found = [*_rewrites(step), *_foreign_keys(step), *_not_null(step)]
    yield from found
    yield from _scans(step) if not found else ()
    yield from _triggers(step)
    yield from _drops(step)
    yield from _row_security(step)
    yield from _check_text(step)
    if step.after.lock_timeout == "0" != step.before.lock_timeout:
        yield "lock-timeout", "without a lock_timeout, all later statements on a table wait behind this migration"


def _rewrites(step: Step) -> Iterator[tuple[str, str]]:
    in_use = {table for table in step.after.tables if step.in_use(table)}
    rewritten = {table for table in in_use if step.before.tables[table] != step.after.tables[table]}
    kinds = {type(node).__name__ for node in _nodes(step)}
    instead = next((INSTEAD[kind] for kind in INSTEAD if kind in kinds), "expand, fill, contract instead")
    what = "emptied" if "TruncateStmt" in kinds else "rewritten"
    for table in sorted(rewritten):
        yield "rewrite", f"{table} is {what}, which blocks readers: {instead}"
    for index in sorted(step.after.indexes.keys() - step.before.indexes.keys()):
        if (table := step.after.indexes[index]) in in_use - rewritten and not _is_concurrent(step):
            sentence = f"an index of {table} is created without CONCURRENTLY: writers wait"
            yield "index-not-concurrent", sentence


def _is_concurrent(step: Step) -> bool:
    """Return whether a statement says CONCURRENTLY: to create an index, or as an option of REINDEX."""
    return any(getattr(node, "concurrent", getattr(node, "defname", "") == "concurrently") for node in _nodes(step))


def _foreign_keys(step: Step) -> Iterator[tuple[str, str]]:
    is_quiet = not any(each.startswith("validating foreign key") for each in step.notices)
    if is_quiet and not hides_statements(step.statement):  # a DO block can silence PostgreSQL
        return  # such as that of a new column, which is null
    for key in sorted(step.after.foreign_keys.keys() - step.before.foreign_keys.keys()):
        if step.in_use(owner := step.after.foreign_keys[key]) and step.blocks_writers(owner):
            sentence = f"a foreign key of {owner} is created without NOT VALID: writers of both tables wait"
            yield "foreign-key", sentence


def _not_null(step: Step) -> Iterator[tuple[str, str]]:
    for column in sorted(step.before.not_null.keys() & step.after.not_null.keys()):
        table, name = column
        becomes = step.after.not_null[column][0] and not step.before.not_null[column][0]
        if becomes and step.in_use(table) and step.blocks_writers(table) and step.is_scanned(table):
            yield "not-null", f"{table}.{name} becomes NOT NULL without a validated check: all rows are read"


def _scans(step: Step) -> Iterator[tuple[str, str]]:
    without = {column for column, (required, filled) in step.after.not_null.items() if required and not filled}
    # Such a column cannot be added to a table with rows, which squawk reports.
    required = {table for table, _ in without - step.before.not_null.keys()}
    for table in sorted(step.after.tables.keys() - required):
        if step.is_scanned(table) and step.in_use(table) and step.blocks_writers(table):
            yield (
                "scan",
                f"all rows of {table} are read while it is locked: NOT VALID first, VALIDATE in another migration",
            )


def _triggers(step: Step) -> Iterator[tuple[str, str]]:
    for oid in sorted(step.after.triggers.keys() | step.before.triggers.keys()):
        before, after = step.before.triggers.get(oid), step.after.triggers.get(oid)
        kind, table, name, state, _ = after or before or [""] * 5
        if before != after and step.in_use(table):
            what = "disabled" if after and state == "D" else "enabled" if before else "created"
            if before and (not after or before[3] == state):  # an enabled trigger of a constraint is not read
                what = "changed" if after else "dropped" if kind != "constraint" else what
            yield "trigger", f"{kind} {name} of {table} is {what}: writers wait, and the previous release is affected"


def _row_security(step: Step) -> Iterator[tuple[str, str]]:
    for table, what in sorted(step.after.secured - step.before.secured):
        if step.in_use(table):
            sentence = f"row level security of {table} is {what}: rows vanish for the previous release"
            owner = " or the service owns the table" if what == "enabled" else ""
            yield "row-security", f"{sentence}, unless a policy shows them{owner}"


def hides_statements(statement: str) -> bool:
    """Return whether a statement can call functions, or is a DO block."""
    return bool(HIDES_STATEMENTS.match(statement, after_comments(statement)))


def _drops(step: Step) -> Iterator[tuple[str, str]]:
    """Find what a DO block or a function drops; squawk reads other statements."""
    if hides_statements(step.statement):
        names = {
            f"{table}.{name}" if step.in_use(table) else table
            for table, name in step.before.not_null
            if step.before.tables[table][0] in step.start.names
            and not (step.in_use(table) and (table, name) in step.after.not_null)
        }
        for name in sorted(names):
            yield "drop", f"{name} is dropped or renamed, and the previous release may read it"


def _check_text(step: Step) -> Iterator[tuple[str, str]]:  # noqa: C901 - one branch per kind
    """Find statements that leave no trace in the catalogue."""
    before, after = step.before.locks, step.after.locks
    in_use = [*filter(step.in_use, sorted(after))]
    unreadable = [table for table in in_use if before.get(table) == NO_READERS]
    locked = [table for table in in_use if before.get(table) != after[table]]
    for node in _nodes(step):
        kind = type(node).__name__
        if kind == "LockStmt" and "writers" in [*WAITS.values()][node.mode - 1]:
            for table in filter(step.in_use, map(step.name, node.relations)):
                yield "lock-table", f"{table} is locked until the migration ends"
        elif _changes_rows(node) and step.in_use(table := step.name(node.relation)):
            verb = kind.removesuffix("Stmt").lower()
            if unreadable:
                sentence = f"{verb} of {table} while {unreadable[0]} is locked, for readers too: use another migration"
                yield "whole-table", sentence
            elif not _limits_rows(step, node):
                yield "whole-table", f"{verb} of all rows of {table}, which stay locked: do it in batches"
        elif unreadable and kind in {"InsertStmt", "CreateTableAsStmt"} and (read := _tables_read(step, node)):
            sentence = f"{read[0]} is read while {unreadable[0]} is locked, for readers too: use another migration"
            yield "whole-table", sentence
        elif kind == "CreateStmt" and node.partbound and not any(IMPLIED in each for each in step.notices):
            parent = step.name(node.inhRelations[0])  # rows of its default partition may belong to the new one
            for table in (each for each in locked if after[each] == NO_READERS and each != parent):
                why = "a validated CHECK can exclude the new bounds"
                yield "scan", f"all rows of {table} are read while it is locked: {why}"
        elif kind == "AlterDomainStmt":
            for table in filter(step.blocks_writers, locked):
                sentence = f"all rows of {table} are read while it is locked, to check the domain: use a table CHECK"
                yield "scan", sentence


def _tables_read(step: Step, node: Node) -> list[str]:
    """Return the tables in use from which INSERT or CREATE TABLE AS copies rows."""
    source = node.selectStmt if type(node).__name__ == "InsertStmt" else None if node.into.skipData else node.query
    return [*filter(step.in_use, (step.name(each) for each in walk(source) if type(each).__name__ == "RangeVar"))]


def _changes_rows(node: Node) -> bool:
    """Return whether a statement updates or deletes rows."""
    whens = getattr(node, "mergeWhenClauses", None) or ()
    changed = {each.commandType for each in whens} & {CmdType.CMD_UPDATE, CmdType.CMD_DELETE}
    return type(node).__name__ in {"UpdateStmt", "DeleteStmt"} or bool(changed)


def _limits_rows(step: Step, node: Node) -> bool:
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


def _picks(step: Step, sources: Sequence[Node]) -> bool:
    """Return whether joined tables and subqueries have fewer rows than tables in use, or than groups of their rows."""
    nodes = walk(tuple(sources))
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
        for each in walk(part)
        if type(each).__name__ == "ColumnRef"
    ]
    is_null = getattr(part, "nulltesttype", None) == NullTestType.IS_NULL
    is_distinct = getattr(part, "kind", None) == A_Expr_Kind.AEXPR_DISTINCT
    if (is_null or is_distinct) and any(names[-1] in filled for names in columns):
        return False
    # The table of each column, or the column itself if it is unqualified; that can be of any table.
    tables = {names[0] for names in columns}
    return bool(tables) and (not joined or len(tables) < 2)  # noqa: PLR2004 - a join names two


def _nodes(step: Step) -> list[Node]:
    """Return the nodes of a statement, or of those in a DO block, and of the functions that it calls."""
    found, waiting = [], [lambda: _parsed(step.statement)]
    functions = {each.name: each for each in step.functions}
    while waiting:
        try:
            nodes = walk(tuple(waiting.pop()()))
        except ParseError:
            continue
        found += nodes
        called = {each.funcname[-1].sval for each in nodes if type(each).__name__ == "FuncCall"}
        waiting += [functions.pop(name).trees for name in called & functions.keys()]
    return found


def _parsed(statement: str) -> list[Node]:
    """Parse a statement, or those in a DO block. Raises ParseError."""
    trees = [each.stmt for each in parse_sql(statement)]
    is_block = any(type(tree).__name__ == "DoStmt" for tree in trees)
    return [tree for each in plpgsql_statements(statement) for tree in each.trees()] if is_block else trees
