"""What has become another between two states of a schema."""

from collections.abc import Iterator

import attrs

from service.sqlcheck.schema import Schema, Table

Key = tuple[str, str, str]


@attrs.frozen
class Part:
    """A part of a schema, as it would be declared, and its comment."""

    declared: str
    comment: str


@attrs.frozen
class Change:
    """A part that is new, gone or another: its kind, its table if it is of one, and what it was and is, if anything."""

    kind: str
    table: str
    name: str
    before: Part | None
    after: Part | None

    @property
    def sign(self) -> str:
        """How a diff marks it."""
        if self.before and self.after:
            return "~"
        return "+" if self.after else "-"

    @property
    def word(self) -> str:
        """The sign, for people."""
        return {"+": "added", "-": "removed", "~": "changed"}[self.sign]


def difference(before: Schema, after: Schema) -> list[Change]:
    """Return what differs: what is new or another in the order of the schema, then what is gone."""
    old, new = dict(_parts(before)), dict(_parts(after))
    keys = [*new, *(key for key in old if key not in new)]
    return [Change(*key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def _parts(schema: Schema) -> Iterator[tuple[Key, Part]]:
    for table in schema.tables.values():
        yield (table.kind, "", table.name), Part(table.view, table.comment)
        yield from _parts_of(table)
        for column in table.columns:
            if column.labels:
                yield ("enum", "", column.type), Part(", ".join(column.labels), "")
    for function in schema.functions.values():
        yield ("function", "", function.signature), Part(function.definition, function.comment)
    for each in schema.sequences.values():
        if not each.table:  # one that a column owns goes with it
            declared = f"{each.type} start {each.start} increment {each.increment}{' cycle' if each.cycles else ''}"
            yield ("sequence", "", each.name), Part(declared, each.comment)


def _parts_of(table: Table) -> Iterator[tuple[Key, Part]]:
    for column in table.columns:
        yield ("column", table.name, column.name), Part(column.declared, column.comment)
    for constraint in table.constraints:
        yield ("constraint", table.name, constraint.name), Part(constraint.definition, constraint.comment)
    keys = {constraint.name for constraint in table.constraints}
    for index in table.indexes:
        if index.name not in keys:  # the index of a key goes without saying
            yield ("index", table.name, index.name), Part(index.method, index.comment)
    for trigger in table.triggers:
        yield ("trigger", table.name, trigger.name), Part(trigger.definition, "")
