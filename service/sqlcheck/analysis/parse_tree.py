"""The parse tree of a statement, from PostgreSQL's own parser: its names are not resolved, but its parts have lines."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import attrs
from pglast import ast, parse_sql
from pglast.enums import SetOperation

from service.postgres import Statement

# A node of the parse tree; `query_tree.Node` is one of the analysed query. pglast declares each field as optional, even
# if PostgreSQL's grammar requires it.
ParseNode = Any


@attrs.frozen
class ParsedQuery:
    """A statement and its parse tree."""

    statement: Statement
    tree: ParseNode

    @classmethod
    def read(cls, statement: Statement) -> "ParsedQuery":
        """Parse a statement. Raises pglast.parser.ParseError."""
        return cls(statement, parse_sql(statement.sql)[0].stmt)

    @property
    def line(self) -> int:
        """The line on which the statement begins, after its header."""
        return first_line(self.statement.sql)

    def line_of(self, node: ParseNode) -> int:
        """Return the line of a node; the first of the statement if the parser records no location."""
        location = getattr(node, "location", None)
        return self.statement.sql.count("\n", 0, location) + 1 if location else self.line

    @cached_property
    def nodes(self) -> list[ParseNode]:
        """All nodes, in preorder."""
        return walk_parsed(self.tree)

    def targets(self) -> Sequence[ParseNode]:
        """Return the targets of the result's columns: of SELECT, or RETURNING; `*` is one for several columns."""
        tree = self.tree
        if isinstance(tree, ast.SelectStmt):
            while tree.op != SetOperation.SETOP_NONE:
                tree = tree.larg
            return tree.targetList or ()
        returning = getattr(tree, "returningClause", None)
        return returning.exprs if returning else ()

    def line_of_text(self, text: str) -> int:
        """Return the line of a text literal, of which the parser records no location; the first if it is not there."""
        before, found, _ = self.statement.sql.partition(f"'{text}'")
        return before.count("\n") + 1 if found else self.line

    def line_of_table(self, name: str, *, by_alias: bool = False) -> int:
        """Return the line that names a table; the first of the statement if a function or a view does.

        :param by_alias: whether `name` is the alias of the table, if it has one
        """
        for node in self.nodes:
            if isinstance(node, ast.RangeVar):
                alias = node.alias.aliasname if by_alias and node.alias else node.relname
                if alias == name:
                    return self.line_of(node)
        return self.line


def first_line(text: str) -> int:
    """Return the line on which a statement begins, after the comments of its header."""
    lines = text.split("\n")
    return next((number for number, line in enumerate(lines, 1) if line and "-- " not in line), 1)


def walk_parsed(tree: ParseNode) -> list[ParseNode]:
    """Return `tree` and every node below it, in preorder; faster than pglast's Visitor, which records ancestors."""
    found: list[ParseNode] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting.extend(reversed(node))
        elif isinstance(node, ast.Node):
            found.append(node)
            waiting.extend(getattr(node, name) for name in reversed([*node]))
    return found
