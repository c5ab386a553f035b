"""The effects of a statement: the tables that it reads or changes, and the locks that it takes.

They include the effects of foreign keys and of the functions that it calls. They are read from the parse tree, so they
are possible effects, whatever the rows. Not included: triggers, partitions, and functions in other languages than SQL.

Source: https://www.postgresql.org/docs/current/explicit-locking.html
"""

from collections.abc import Iterator

import attrs
from pglast import parse_sql
from pglast.enums import CmdType, LockClauseStrength, OnConflictAction
from pglast.parser import ParseError

from service.sqlcheck import Constraint, Function, ParseNode, Schema, Table, walk_parsed

TABLE_LOCKS = {
    "select": "ACCESS SHARE",
    "lock": "ROW SHARE",
    "insert": "ROW EXCLUSIVE",
    "update": "ROW EXCLUSIVE",
    "delete": "ROW EXCLUSIVE",
}
STRENGTHS = {
    LockClauseStrength.LCS_FORKEYSHARE: "FOR KEY SHARE",
    LockClauseStrength.LCS_FORSHARE: "FOR SHARE",
    LockClauseStrength.LCS_FORNOKEYUPDATE: "FOR NO KEY UPDATE",
    LockClauseStrength.LCS_FORUPDATE: "FOR UPDATE",
}
MERGED = {CmdType.CMD_INSERT: "insert", CmdType.CMD_UPDATE: "update", CmdType.CMD_DELETE: "delete"}


@attrs.frozen
class Effect:
    """An effect on a table; `rows` is the lock on its rows, `through` the function, view or key that causes it."""

    table: str
    verb: str
    rows: str = ""
    through: str = ""

    @property
    def lock(self) -> str:
        """The lock on the table."""
        return TABLE_LOCKS[self.verb]

    @property
    def writes(self) -> bool:
        """Whether it changes rows."""
        return self.verb in {"insert", "update", "delete"}


def effects(tree: ParseNode, schema: Schema) -> list[Effect]:
    """Return the effects of a statement: its own first, then the indirect ones."""
    found: dict[tuple[str, str, str], Effect] = {}
    for effect in _Effects(schema).of(tree):
        found.setdefault((effect.table, effect.verb, effect.rows), effect)
    verbs = list(TABLE_LOCKS)
    return sorted(found.values(), key=lambda each: (bool(each.through), each.table, verbs.index(each.verb), each.rows))


def functions(tree: ParseNode, schema: Schema) -> list[Function]:
    """Return the functions of the schema that a statement calls, directly or indirectly."""
    seen: dict[str, Function] = {}
    waiting = [tree]
    while waiting:
        for function in (each for name in _called(waiting.pop()) for each in schema.named(name)):
            if function.signature not in seen:
                seen[function.signature] = function
                waiting += _parsed(function.body)
    return [seen[name] for name in sorted(seen)]


def advisory_locks(tree: ParseNode) -> list[str]:
    """Return the functions with which a statement takes advisory locks."""
    return sorted(name for name in _called(tree) if name.startswith(("pg_advisory_", "pg_try_advisory_")))


def _called(tree: ParseNode) -> set[str]:
    """Return the names of the functions that a statement calls directly."""
    return {node.funcname[-1].sval for node in walk_parsed(tree) if type(node).__name__ == "FuncCall"}


def _parsed(text: str) -> list[ParseNode]:
    """Parse SQL; return nothing for other languages."""
    try:
        return [raw.stmt for raw in parse_sql(text)]
    except ParseError:
        return []


class _Effects:
    """Follows a statement through views, functions and foreign keys."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._cascaded: set[Constraint] = set()

    def of(self, tree: ParseNode) -> Iterator[Effect]:
        yield from self._statement(tree, "")
        for function in functions(tree, self._schema):
            for each in _parsed(function.body):
                yield from self._statement(each, f"{function.name}()")

    def _statement(self, tree: ParseNode, through: str) -> Iterator[Effect]:
        nodes = walk_parsed(tree)
        known = {node.ctename for node in nodes if type(node).__name__ == "CommonTableExpr"}
        written: set[int] = set()
        for node in nodes:
            relation = getattr(node, "relation", None)
            table = self._find(relation) if type(relation).__name__ == "RangeVar" else None
            if table and (verbs := _verbs(node)):
                written.add(id(relation))
                for verb, columns in verbs:
                    yield from self._change(table, verb, columns, through)
        for node in nodes:
            kind = type(node).__name__
            if kind == "RangeVar" and id(node) not in written and not (node.relname in known and not node.schemaname):
                yield from self._read(self._find(node), through)
            elif kind == "SelectStmt":
                for clause in node.lockingClause or ():
                    yield from self._lock(node, clause, through)

    def _find(self, relation: ParseNode) -> Table | None:
        return self._schema.table(relation.relname, relation.schemaname)

    def _read(self, table: Table | None, through: str) -> Iterator[Effect]:
        if table is None:
            return
        yield Effect(table.name, "select", "", through)
        for tree in _parsed(table.view) if table.kind == "view" else []:
            yield from self._statement(tree, through or table.name)

    def _lock(self, select: ParseNode, clause: ParseNode, through: str) -> Iterator[Effect]:
        sources = [node for node in walk_parsed(select.fromClause) if type(node).__name__ == "RangeVar"]
        wanted = {each.relname for each in clause.lockedRels or ()}
        for source in sources:
            name = source.alias.aliasname if source.alias else source.relname
            if (not wanted or name in wanted) and (table := self._find(source)):
                yield Effect(table.name, "lock", STRENGTHS[clause.strength], through)

    def _change(self, table: Table, verb: str, columns: set[str], through: str) -> Iterator[Effect]:
        key = any(index.unique and index.plain and columns & {*index.columns} for index in table.indexes)
        rows = {"insert": "", "delete": "FOR UPDATE"}.get(verb, "FOR UPDATE" if key else "FOR NO KEY UPDATE")
        yield Effect(table.name, verb, rows, through)
        for constraint in table.foreign_keys:
            if verb == "insert" or (verb == "update" and columns & {*constraint.columns}):
                yield Effect(constraint.refers_to, "lock", "FOR KEY SHARE", constraint.name)
        for other, constraint in self._schema.referring(table):
            if verb == "delete" or (verb == "update" and columns & {*constraint.referred}):
                yield from self._referring(other, constraint, verb)

    def _referring(self, other: Table, constraint: Constraint, verb: str) -> Iterator[Effect]:
        """Yield the effects on rows that reference a deleted row, or one whose key changes."""
        if verb == "update" or constraint.on_delete in {"", "restrict"}:
            yield Effect(other.name, "lock", "FOR KEY SHARE", constraint.name)
        elif constraint.on_delete != "cascade":
            yield Effect(other.name, "update", "FOR NO KEY UPDATE", constraint.name)
        elif constraint not in self._cascaded:
            self._cascaded.add(constraint)
            yield from self._change(other, "delete", set(), constraint.name)


def _verbs(node: ParseNode) -> list[tuple[str, set[str]]]:
    """Return the verbs of a statement, each with the columns that an update sets."""
    match type(node).__name__:
        case "InsertStmt":
            conflict = node.onConflictClause
            verbs: list[tuple[str, set[str]]] = [("insert", set())]
            if conflict and conflict.action == OnConflictAction.ONCONFLICT_UPDATE:
                verbs.append(("update", _names(conflict.targetList)))
            return verbs
        case "UpdateStmt":
            return [("update", _names(node.targetList))]
        case "DeleteStmt":
            return [("delete", set())]
        case "MergeStmt":
            clauses = [each for each in node.mergeWhenClauses if each.commandType in MERGED]
            return [(MERGED[each.commandType], _names(each.targetList)) for each in clauses]
        case _:
            return []


def _names(targets: ParseNode) -> set[str]:
    return {target.name for target in targets or ()}
