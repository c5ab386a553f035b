"""The assumptions under which an expression is examined: behind a condition of CASE, or as a value to write."""

from collections.abc import Iterable

import attrs

from service.sqlcheck.analysis.not_null import Variable
from service.sqlcheck.analysis.scope import Scope


@attrs.frozen
class Assumptions:
    """The variables that are not null, each with its scope, and the scopes in which a written value is examined.

    In a written value, a column is that of the old row.
    """

    not_null: frozenset[tuple[Scope, Variable]] = frozenset()
    writing: frozenset[Scope] = frozenset()

    def is_not_null(self, scope: Scope, variable: Variable) -> bool:
        """Return whether a variable is assumed not to be null."""
        return (scope, variable) in self.not_null

    def has_row(self, scope: Scope, variable: Variable) -> bool:
        """Return whether the row of a variable exists: a column of it, perhaps another one, is not null."""
        return any((scope, variable[::2]) == (known, other[::2]) for known, other in self.not_null)

    def with_not_null(self, scope: Scope, variables: Iterable[Variable]) -> "Assumptions":
        """Return these assumptions, and that some variables are not null."""
        return attrs.evolve(self, not_null=self.not_null | {(scope, variable) for variable in variables})

    def with_written_value(self, scope: Scope) -> "Assumptions":
        """Return the assumptions in a value that a statement writes: none about nulls."""
        return Assumptions(writing=self.writing | {scope})
