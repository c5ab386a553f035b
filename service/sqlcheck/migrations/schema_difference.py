"""The differences between two schemas."""

import re
from collections.abc import Iterator

import attrs

from service.sqlcheck.migrations.schema import Schema, Table, qualified

Key = tuple[str, str, str]
# What PostgreSQL makes of `kind in ('cat', 'dog')`, if `kind` is a varchar: a list that is cast to text[].
CAST_VALUE = r"'(?:''|[^'])*'::[a-z ]+"
CAST_LIST = re.compile(rf"\(ARRAY\[({CAST_VALUE}(?:, {CAST_VALUE})*)\]\)::(\w+)\[\]")


def as_restored(text: str) -> str:
    """Return a definition as it is in a database that pg_dump restored: there, each value of a list is cast."""
    return CAST_LIST.sub(
        lambda found: "ARRAY[" + re.sub(CAST_VALUE, lambda value: f"({value[0]})::{found[2]}", found[1]) + "]", text
    )


@attrs.frozen
class Part:
    """The declaration of a part of a schema, and its comment."""

    declared: str = attrs.field(eq=as_restored)
    comment: str


@attrs.frozen
class Change:
    """A part that was added, removed or changed: its kind, its table if it has one, and its two states."""

    kind: str
    table: str
    name: str
    before: Part | None
    after: Part | None

    @property
    def sign(self) -> str:
        """Its sign in a diff."""
        return {"added": "+", "removed": "-", "changed": "~"}[self.word]

    @property
    def word(self) -> str:
        """The sign as a word."""
        return "changed" if self.before and self.after else "added" if self.after else "removed"


def difference(before: Schema, after: Schema) -> list[Change]:
    """Return the differences: added and changed parts in the order of the schema, then removed parts."""
    old, new = dict(_parts(before)), dict(_parts(after))
    keys = [*new, *(key for key in old if key not in new)]
    return [Change(*key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def _parts(schema: Schema) -> Iterator[tuple[Key, Part]]:
    for type_ in schema.types.values():
        yield (type_.kind, "", type_.name), Part(type_.definition, type_.comment)
    for table in schema.tables.values():
        declared = "\n".join(each for each in (table.view, table.options) if each)
        yield (table.kind, "", table.name), Part(declared, table.comment)
        yield from _parts_of(table)
    for function in schema.functions.values():
        yield ("function", "", function.signature), Part(function.definition, function.comment)
    for trigger in schema.event_triggers:
        yield (trigger.kind, "", qualified("public", trigger.name)), Part(trigger.definition, trigger.comment)
    for each in schema.sequences.values():
        if not each.identity:  # that of an identity column is part of it
            declared = (
                f"{each.type} start {each.start} increment {each.increment} from {each.minimum} to {each.maximum}"
            )
            kind = "owned sequence" if each.table else "sequence"
            yield (kind, each.table, each.name), Part(f"{declared}{' cycle' if each.cycles else ''}", each.comment)


def _parts_of(table: Table) -> Iterator[tuple[Key, Part]]:
    for column in table.columns:
        yield ("column", table.name, column.name), Part(column.declared, column.comment)
    for constraint in table.constraints:
        yield ("constraint", table.name, constraint.name), Part(constraint.definition, constraint.comment)
    keys = {constraint.name for constraint in table.constraints}
    for index in table.indexes:
        if index.name not in keys:  # the index of a constraint is part of it
            yield ("index", table.name, index.name), Part(index.declared, index.comment)
    for trigger in table.triggers:
        yield (trigger.kind, table.name, trigger.name), Part(trigger.definition, trigger.comment)
    for policy in table.policies:
        yield ("policy", table.name, policy.name), Part(policy.definition, policy.comment)
