"""A statement's parse tree, by PostgreSQL's own parser, and where in the file its parts stand."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import attrs
from pglast import ast, parse_sql
from pglast.enums import SetOperation

from service.postgres import Statement

# A node of the parse tree. By pglast's types each field may be None, also where PostgreSQL's grammar knows better.
Node = Any


@attrs.frozen
class ParsedQuery:
    """A statement and its parse tree."""

    statement: Statement
    tree: Node

    @classmethod
    def read(cls, statement: Statement) -> "ParsedQuery":
        """Parse. Raises pglast.parser.ParseError."""
        return cls(statement, parse_sql(statement.sql)[0].stmt)

    @property
    def line(self) -> int:
        """The line on which the statement begins, behind its header."""
        return first_line(self.statement.sql)

    def line_of(self, node: Node) -> int:
        """Return the line of a part; that of the statement, where the parser notes no place."""
        location = getattr(node, "location", None)
        return self.statement.sql.count("\n", 0, location) + 1 if location else self.line

    @cached_property
    def nodes(self) -> list[Node]:
        """Every node, from the top down."""
        return walk(self.tree)

    def targets(self) -> Sequence[Node]:
        """Return what the result's columns are written as; with `*` among them, fewer than columns."""
        return targets(self.tree)

    def queries_inside(self) -> dict[str, Node]:
        """Return the subqueries and common table expressions by their names; none where a name comes twice."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            kind = type(node).__name__
            if kind == "CommonTableExpr":
                found.setdefault(node.ctename, []).append(node.ctequery)
            elif kind == "RangeSubselect" and node.alias:
                found.setdefault(node.alias.aliasname, []).append(node.subquery)
        return {name: queries[0] for name, queries in found.items() if len(queries) == 1}

    def tables(self) -> dict[str, str]:
        """Return the tables by the names that they have here; none where a name is something else, too."""
        nodes = [node for node in self.nodes if type(node).__name__ == "RangeVar"]
        names = {(node.alias.aliasname if node.alias else node.relname, node.relname) for node in nodes}
        others = self.other_sources()
        known = [name for name, _ in names] + others
        return {name: table for name, table in names if known.count(name) == 1 and table not in others}

    def renamed(self) -> set[str]:
        """Return the names of what gives other names to its columns here: ``pets as p (id, name)``."""
        aliases = [node for node in self.nodes if type(node).__name__ == "Alias" and node.colnames]
        queries = [node for node in self.nodes if type(node).__name__ == "CommonTableExpr" and node.aliascolnames]
        return {node.aliasname for node in aliases} | {node.ctename for node in queries}

    def other_sources(self) -> list[str]:
        """Return the names of subqueries, of common table expressions, and of what functions in `from` return."""
        functions = [node for node in self.nodes if type(node).__name__ == "RangeFunction"]
        return [*self.queries_inside(), *(node.alias.aliasname if node.alias else "" for node in functions)]


def first_line(text: str) -> int:
    """Return the line on which a statement begins, behind its header; `explain …` may stand before that."""
    lines = text.split("\n")
    return next((number for number, line in enumerate(lines, 1) if line and "-- " not in line), 1)


def walk(tree: Node) -> list[Node]:
    """Return every node below and including `tree`; pglast's Visitor, which notes ancestors, takes thrice the time."""
    found: list[Node] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting.extend(reversed(node))
        elif isinstance(node, ast.Node):
            found.append(node)
            waiting.extend(getattr(node, name) for name in reversed([*node]))
    return found


def targets(tree: Node) -> Sequence[Node]:
    """Return the targets of a select, or of what a change returns."""
    if isinstance(tree, ast.SelectStmt):
        while tree.op != SetOperation.SETOP_NONE:
            tree = tree.larg
        return tree.targetList or ()
    returning = getattr(tree, "returningClause", None)
    return returning.exprs if returning else ()


def target_name(target: Node) -> str:
    """Return the name that a target gives its column, where that can be seen."""
    if target.name:
        return str(target.name)
    value = target.val
    while type(value).__name__ == "TypeCast":
        value = value.arg
    named = type(value).__name__ == "ColumnRef" and type(value.fields[-1]).__name__ == "String"
    return str(value.fields[-1].sval) if named else ""
