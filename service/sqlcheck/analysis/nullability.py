"""When a value can be null, and what follows for expressions of several values."""

from collections.abc import Iterable, Sequence
from itertools import product

import attrs

from service.sqlcheck.analysis.joins import OuterJoin


@attrs.frozen
class Nullability:
    """When a value can be null.

    `outer_joins`: the sets of outer joins that together make it null. `reason`: why it can be null without an outer
    join. `known`: false if PostgreSQL cannot tell. `from_input`: a nullable parameter or a literal can make it null.
    `elements_not_null`: no element of the array is null.
    """

    outer_joins: frozenset[frozenset[OuterJoin]] = frozenset()
    reason: str = ""
    known: bool = True
    from_input: bool = False
    elements_not_null: bool = False

    @property
    def never_null(self) -> bool:
        """Whether the value is certainly not null."""
        return self.known and not self.outer_joins and not self.reason

    @property
    def why(self) -> str:
        """Why the value can be null; an empty string if it cannot."""
        if not self.known:
            return "PostgreSQL cannot tell"
        return self.reason or ("an outer join makes it so" if self.outer_joins else "")

    def beside(self, present: "Nullability") -> "Nullability":
        """Return it for rows in which a column of a table, which is null after an outer join, is not null."""
        kept = (joins for joins in self.outer_joins if not any(each <= joins for each in present.outer_joins))
        return attrs.evolve(self, outer_joins=frozenset(kept))

    def in_another_row(self) -> "Nullability":
        """Return it for the value of another row, whose outer joins say nothing about this row."""
        return attrs.evolve(self, outer_joins=frozenset(), reason=self.why)


NEVER, UNKNOWN = Nullability(), Nullability(known=False)


def in_array(values: Iterable[Nullability], nested: bool) -> Nullability:  # noqa: FBT001 - called with an expression
    """Return the nullability of an array of some values, or, if it is `nested`, of the elements of some arrays."""
    return Nullability(elements_not_null=all(each.elements_not_null if nested else each.never_null for each in values))


def null_if_any(values: Iterable[Nullability]) -> Nullability:
    """Return the nullability of an expression that is null if any of its values is."""
    values = list(values)
    return Nullability(
        outer_joins=frozenset().union(*(each.outer_joins for each in values)),
        reason=next((each.reason for each in values if each.reason), ""),
        known=all(each.known for each in values),
        from_input=any(each.from_input for each in values),
        elements_not_null=all(each.elements_not_null for each in values),
    )


def null_if_all(values: Sequence[Nullability]) -> Nullability:
    """Return the nullability of an expression that is null only if all its values are."""
    if len(values) == 1:
        return values[0]
    by_joins = [each.outer_joins for each in values if each.known and not each.reason]
    if not by_joins:
        return UNKNOWN
    together = (frozenset().union(*joins) for joins in product(*by_joins))
    elements = all(each.elements_not_null for each in values)
    return Nullability(frozenset(joins for joins in together if not _impossible(joins)), elements_not_null=elements)


def _impossible(joins: frozenset[OuterJoin]) -> bool:
    """Return whether both sides of a full join would be missing."""
    return len({(join.scope, join.node) for join in joins}) < len(joins)
