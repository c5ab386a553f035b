"""A statement of a migration, with the catalogue before and after it: what `lock_rules` and `whole_table` look at."""

import re
from functools import cached_property

import attrs
from pglast import parse_sql
from pglast.parser import ParseError

from service.migrate import after_comments
from service.sqlcheck.analysis.parse_tree import ParseNode, walk_parsed
from service.sqlcheck.migrations.function_bodies import FunctionSource, plpgsql_statements
from service.sqlcheck.migrations.lock_state import NO_READERS, WAITS, State
from service.sqlcheck.migrations.schema import qualified, schema_and_name

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

    def name(self, table: ParseNode) -> str:
        """Return the full name of a table in a statement."""
        visible = self.before.visible.get(table.relname, "")
        return qualified(table.schemaname, table.relname) if table.schemaname else visible

    def is_scanned(self, table: str) -> bool:
        """Return whether PostgreSQL has read all rows of a table, or of one with its name in another schema."""
        return f'verifying table "{schema_and_name(table)[1]}"' in self.notices

    def blocks_writers(self, table: str) -> bool:
        """Return whether the transaction holds a lock that blocks writers of a table."""
        return "writers" in WAITS[self.after.locks.get(table, "AccessShareLock")]

    @cached_property
    def rewritten(self) -> set[str]:
        """The tables in use that have another file since this statement: it has rewritten or emptied them."""
        return {
            table
            for table, (_, file) in self.after.tables.items()
            if self.in_use(table) and self.before.tables[table][1] != file
        }

    @cached_property
    def unreadable(self) -> list[str]:
        """The tables in use that the migration has locked for readers, too, before this statement."""
        return [table for table in self._locked_in_use if self.before.locks.get(table) == NO_READERS]

    @cached_property
    def newly_locked(self) -> list[str]:
        """The tables in use on which this statement has taken its first or a stronger lock."""
        return [table for table in self._locked_in_use if self.before.locks.get(table) != self.after.locks[table]]

    @property
    def _locked_in_use(self) -> list[str]:
        return [*filter(self.in_use, sorted(self.after.locks))]

    @cached_property
    def nodes(self) -> list[ParseNode]:
        """The nodes of the statement, or of those in a DO block, and of the functions that it calls."""
        found, waiting = [], [lambda: _parsed(self.statement)]
        functions = {each.name: each for each in self.functions}
        while waiting:
            try:
                nodes = walk_parsed(tuple(waiting.pop()()))
            except ParseError:
                continue
            found += nodes
            called = {each.funcname[-1].sval for each in nodes if type(each).__name__ == "FuncCall"}
            waiting += [functions.pop(name).trees for name in called & functions.keys()]
        return found


def _parsed(statement: str) -> list[ParseNode]:
    """Parse a statement, or those in a DO block. Raises ParseError."""
    trees = [each.stmt for each in parse_sql(statement)]
    is_block = any(type(tree).__name__ == "DoStmt" for tree in trees)
    return [tree for each in plpgsql_statements(statement) for tree in each.trees()] if is_block else trees


def hides_statements(statement: str) -> bool:
    """Return whether a statement can call functions, or is a DO block."""
    return bool(HIDES_STATEMENTS.match(statement, after_comments(statement)))
