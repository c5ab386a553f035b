"""A statement as PostgreSQL describes it: the types of its parameters and columns, and its generic plan."""

import sys
from itertools import chain, repeat
from typing import Any

import attrs
import psycopg
from pglast import ast

from service.postgres import Statement
from service.sqlcheck.analysis.catalogue import Catalogue
from service.sqlcheck.analysis.json_shape import JsonShape, JsonShapes
from service.sqlcheck.analysis.nested_arrays import column_levels
from service.sqlcheck.analysis.nullability_inference import NullabilityInference
from service.sqlcheck.analysis.parse_tree import ParsedQuery
from service.sqlcheck.analysis.planner import Plan, Planner
from service.sqlcheck.analysis.query_parts import joined_relations
from service.sqlcheck.analysis.query_tree import Node
from service.sqlcheck.analysis.refusal import raise_if_refused
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.analysis.types import Type, Types

QUERIES = (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt)
MAX_DEPTH = 10_000  # of Python's calls: each operator of `a || b || …` is an operand of the next


@attrs.frozen
class ResultColumn:
    """A column of a result, and the line of its expression."""

    name: str
    type: Type
    line: int


@attrs.frozen
class Description:
    """A statement as PostgreSQL describes it; `plan` is None if it is not a query, and empty if a rule drops it."""

    statement: Statement
    parsed: ParsedQuery
    parameters: tuple[Type, ...]
    columns: tuple[ResultColumn, ...]
    plan: Plan | None
    # The analysed query; None if it cannot be the body of a function, in which PostgreSQL analyses it.
    scope: Scope | None
    nullability: NullabilityInference
    catalogue: Catalogue
    types: Types

    def expression(self, number: int) -> Node | None:
        """Return the analysed expression of a result column (from 1); None if it is unknown, or a set operation."""
        if self.scope is None or self.scope.query.setOperations or len(self.scope.targets) != len(self.columns):
            return None
        found: Node = self.scope.targets[number - 1].expr
        return found

    def line_of(self, subquery: Scope) -> int:
        """Return the line of the first table of a subquery."""
        first = min(joined_relations(subquery.query.jointree), default=0)
        return self.parsed.line_of_table(subquery.relation(first).eref.aliasname if first else "", by_alias=True)

    def json_shape(self, number: int) -> JsonShape | None:
        """Return the shape of the JSON in a result column (from 1); None if the column's expression is unknown."""
        expression = self.expression(number)
        if self.scope is None or expression is None:
            return None
        return JsonShapes(self.nullability, self.types).shape_of(self.scope, expression)


class Describer:
    """Describes statements on one connection."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Configure PostgreSQL's planner, and read the types and the catalogue."""
        sys.setrecursionlimit(max(sys.getrecursionlimit(), MAX_DEPTH))
        self._connection = connection
        self._planner = Planner(connection)
        self.types = Types(connection)
        self.catalogue = Catalogue(connection)

    def describe(self, statement: Statement) -> Description:
        """Prepare and plan a statement without running it. Raises RefusedError."""
        pgconn = self._connection.pgconn
        raise_if_refused(pgconn.prepare(b"", statement.sql.encode(), None), statement)
        result = pgconn.describe_prepared(b"")
        parsed = ParsedQuery.read(statement)
        types = [self.types[result.param_type(index)] for index in range(result.nparams)]
        query = self.catalogue.analyse(statement.sql, [each.name for each in types])
        scope = Scope(self.catalogue, query) if query else None
        levels = [column_levels(scope, position) for position in range(len(scope.targets))] if scope else []
        targets = parsed.targets()
        # With `*`, there are fewer targets than columns: each column is on the first line.
        lines = [parsed.line_of(target) for target in targets]
        if len(lines) != result.nfields:
            lines = [parsed.line] * result.nfields
        return Description(
            statement,
            parsed,
            tuple(types),
            tuple(
                ResultColumn(
                    (result.fname(index) or b"").decode(), self.types[result.ftype(index)].nested(nested), line
                )
                for index, (line, nested) in enumerate(zip(lines, chain(levels, repeat(0)), strict=False))
            ),
            self._planner.plan(statement) if isinstance(parsed.tree, QUERIES) else None,
            scope,
            NullabilityInference(statement.parameters),
            self.catalogue,
            self.types,
        )
