"""When a value is null, and what that means for what is made of several values."""

from collections.abc import Iterable, Sequence
from itertools import product

import attrs

from service.sqlcheck.scope import OuterJoin


@attrs.frozen
class Nullability:
    """When a value is null: by which outer joins together, by itself and why; or nobody knows.

    `given`: null because the caller, or a literal, may give one. `elements`: no element of the array is null.
    """

    joins: frozenset[frozenset[OuterJoin]] = frozenset()
    itself: str = ""
    known: bool = True
    given: bool = False
    elements: bool = False

    @property
    def never(self) -> bool:
        """Whether it is certain that there is no null."""
        return self.known and not self.joins and not self.itself


NEVER, UNKNOWN = Nullability(), Nullability(known=False)


def any_of(found: Iterable[Nullability]) -> Nullability:
    """Judge what is null if one of several is."""
    found = list(found)
    return Nullability(
        joins=frozenset().union(*(each.joins for each in found)),
        itself=next((each.itself for each in found if each.itself), ""),
        known=all(each.known for each in found),
        given=any(each.given for each in found),
        elements=all(each.elements for each in found),
    )


def none_of(found: Sequence[Nullability]) -> Nullability:
    """Judge what is null only if each of several is."""
    elements = all(each.elements for each in found)
    if len(found) == 1 or any(each.never for each in found):
        return attrs.evolve(found[0] if len(found) == 1 else NEVER, elements=elements)
    by_joins = [each.joins for each in found if each.known and not each.itself]
    if not by_joins:
        return Nullability(known=False, elements=elements)
    together = (frozenset().union(*joins) for joins in product(*by_joins))
    return Nullability(frozenset(joins for joins in together if not _impossible(joins)), elements=elements)


def _impossible(joins: frozenset[OuterJoin]) -> bool:
    """Tell whether both sides of a full join would be missing."""
    return len({join.node for join in joins}) < len(joins)
