"""Rules about statements of migrations that block access to tables in use, by the schema before and after them.

This covers DO blocks and constraints, too, and works on empty tables: a rewritten table has another file, and
PostgreSQL reports at level DEBUG1 which tables it scans.
"""

from collections.abc import Iterator

from service.sqlcheck.migrations.lock_state import NO_READERS, WAITS
from service.sqlcheck.migrations.lock_step import Step, hides_statements
from service.sqlcheck.migrations.whole_table import find_whole_tables

IMPLIED = "is implied by existing constraints"
# What to do instead of a statement that rewrites a table; for all others: expand, fill, contract.
INSTEAD = {
    "TruncateStmt": "delete its rows in batches instead",
    "RefreshMatViewStmt": "refresh it concurrently instead",
    "ClusterStmt": "rewrite it online instead, as pg_repack does",
    "VacuumStmt": "rewrite it online instead, as pg_repack does",
}


def check_step(step: Step) -> Iterator[tuple[str, str]]:
    """Yield the findings: the name of the check, and a sentence."""
    found = [*_rewrites(step), *_new_indexes(step), *_foreign_keys(step), *_not_null(step)]
    yield from found
    yield from _scans(step) if not found else ()  # each of these reads all rows, too
    for rule in (_triggers, _drops, _row_security, find_whole_tables, _lock_tables, _new_partitions, _altered_domains):
        yield from rule(step)
    if step.after.lock_timeout == "0" != step.before.lock_timeout:
        yield "lock-timeout", "without a lock_timeout, all later statements on a table wait behind this migration"


def _rewrites(step: Step) -> Iterator[tuple[str, str]]:
    kinds = {type(node).__name__ for node in step.nodes}
    instead = next((INSTEAD[kind] for kind in INSTEAD if kind in kinds), "expand, fill, contract instead")
    what = "emptied" if "TruncateStmt" in kinds else "rewritten"
    for table in sorted(step.rewritten):
        yield "rewrite", f"{table} is {what}, which blocks readers: {instead}"


def _new_indexes(step: Step) -> Iterator[tuple[str, str]]:
    for index in sorted(step.after.indexes.keys() - step.before.indexes.keys()):
        table = step.after.indexes[index]
        if step.in_use(table) and table not in step.rewritten and not _is_concurrent(step):
            yield "index-not-concurrent", f"an index of {table} is created without CONCURRENTLY: writers wait"


def _is_concurrent(step: Step) -> bool:
    """Return whether a statement says CONCURRENTLY: to create an index, or as an option of REINDEX."""
    return any(getattr(node, "concurrent", getattr(node, "defname", "") == "concurrently") for node in step.nodes)


def _foreign_keys(step: Step) -> Iterator[tuple[str, str]]:
    is_quiet = not any(each.startswith("validating foreign key") for each in step.notices)
    if is_quiet and not hides_statements(step.statement):  # a DO block can silence PostgreSQL
        return  # such as that of a new column, which is null
    for key in sorted(step.after.foreign_keys.keys() - step.before.foreign_keys.keys()):
        if step.in_use(owner := step.after.foreign_keys[key]) and step.blocks_writers(owner):
            sentence = f"a foreign key of {owner} is created without NOT VALID: writers of both tables wait"
            yield "foreign-key", sentence


def _not_null(step: Step) -> Iterator[tuple[str, str]]:
    for column in sorted(step.before.not_null.keys() & step.after.not_null.keys()):
        table, name = column
        becomes = step.after.not_null[column][0] and not step.before.not_null[column][0]
        if becomes and step.in_use(table) and step.blocks_writers(table) and step.is_scanned(table):
            yield "not-null", f"{table}.{name} becomes NOT NULL without a validated check: all rows are read"


def _scans(step: Step) -> Iterator[tuple[str, str]]:
    without = {column for column, (required, filled) in step.after.not_null.items() if required and not filled}
    # Such a column cannot be added to a table with rows, which squawk reports.
    required = {table for table, _ in without - step.before.not_null.keys()}
    for table in sorted(step.after.tables.keys() - required):
        if step.is_scanned(table) and step.in_use(table) and step.blocks_writers(table):
            yield (
                "scan",
                f"all rows of {table} are read while it is locked: NOT VALID first, VALIDATE in another migration",
            )


def _triggers(step: Step) -> Iterator[tuple[str, str]]:
    for oid in sorted(step.after.triggers.keys() | step.before.triggers.keys()):
        before, after = step.before.triggers.get(oid), step.after.triggers.get(oid)
        kind, table, name, state, _ = after or before or [""] * 5
        if before != after and step.in_use(table):
            what = "disabled" if after and state == "D" else "enabled" if before else "created"
            if before and (not after or before[3] == state):  # an enabled trigger of a constraint is not read
                what = "changed" if after else "dropped" if kind != "constraint" else what
            yield "trigger", f"{kind} {name} of {table} is {what}: writers wait, and the previous release is affected"


def _row_security(step: Step) -> Iterator[tuple[str, str]]:
    for table, what in sorted(step.after.secured - step.before.secured):
        if step.in_use(table):
            sentence = f"row level security of {table} is {what}: rows vanish for the previous release"
            owner = " or the service owns the table" if what == "enabled" else ""
            yield "row-security", f"{sentence}, unless a policy shows them{owner}"


def _drops(step: Step) -> Iterator[tuple[str, str]]:
    """Find what a DO block or a function drops; squawk reads other statements."""
    if hides_statements(step.statement):
        names = {
            f"{table}.{name}" if step.in_use(table) else table
            for table, name in step.before.not_null
            if step.before.tables[table][0] in step.start.names
            and not (step.in_use(table) and (table, name) in step.after.not_null)
        }
        for name in sorted(names):
            yield "drop", f"{name} is dropped or renamed, and the previous release may read it"


def _lock_tables(step: Step) -> Iterator[tuple[str, str]]:
    modes = [*WAITS.values()]
    for node in step.nodes:
        if type(node).__name__ == "LockStmt" and "writers" in modes[node.mode - 1]:
            for table in filter(step.in_use, map(step.name, node.relations)):
                yield "lock-table", f"{table} is locked until the migration ends"


def _new_partitions(step: Step) -> Iterator[tuple[str, str]]:
    """Find partitions created beside a default one, whose rows may belong to the new one."""
    for node in step.nodes:
        if type(node).__name__ == "CreateStmt" and node.partbound and not any(IMPLIED in each for each in step.notices):
            parent = step.name(node.inhRelations[0])
            for table in step.newly_locked:
                if step.after.locks[table] == NO_READERS and table != parent:
                    why = "a validated CHECK can exclude the new bounds"
                    yield "scan", f"all rows of {table} are read while it is locked: {why}"


def _altered_domains(step: Step) -> Iterator[tuple[str, str]]:
    if any(type(node).__name__ == "AlterDomainStmt" for node in step.nodes):
        for table in filter(step.blocks_writers, step.newly_locked):
            sentence = f"all rows of {table} are read while it is locked, to check the domain: use a table CHECK"
            yield "scan", sentence
