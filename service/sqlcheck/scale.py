"""The scale gate: on many rows, a query may read a few times as many as it returns or changes, and no more.

That an index was used says little: PostgreSQL 18 skips through one whose first column the query does not know, and a
condition that no index serves hides behind another that one does. What was read, tells.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import psycopg
from psycopg import sql

from service.postgres import Statement
from service.sqlcheck.check import Tree
from service.sqlcheck.description import Describer, Description, Plan
from service.sqlcheck.findings import Finding, finding_at, unless_accepted
from service.sqlcheck.plans import nodes
from service.sqlcheck.schema_checks import describe

SEED = Path("sql/dev/scale.sql")
# What each feature adds to it.
SEEDS = "sql/*/dev/scale.sql"
# Rows read for each that is returned or changed; a page of 8 kB may hold only one of them, under an index of 4 levels.
ROWS_EACH = 10
BLOCKS_EACH = 20
# What a statement reads besides: its checks, its triggers, the index pages that an insert passes.
BLOCKS_ONCE = 60

FOREIGN_KEYS = """
    select conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) from pg_constraint where contype = 'f'
"""
DROP, ADD = sql.SQL("alter table {} drop constraint {}"), sql.SQL("alter table {} add constraint {} {}")
PREPARE, RUN = sql.SQL("prepare measured {} as {}"), sql.SQL("explain (analyze, format json) execute measured {}")


@attrs.frozen
class Measurement:
    """A query that was run: its plan with what was read, None where it could not be run, and the findings."""

    name: str
    plan: Plan | None
    findings: list[Finding]


def seed(connection: psycopg.Connection[Any], root: Path) -> dict[str, str | None]:
    """Fill the tables, and return the arguments to run queries with."""
    # Checked row by row, foreign keys would take most of the time; all at once, a second.
    keys = connection.execute(FOREIGN_KEYS).fetchall()
    for table, name, _ in keys:
        connection.execute(DROP.format(sql.SQL(table), sql.Identifier(name)))
    for path in (root / SEED, *sorted(root.glob(SEEDS))):
        connection.execute(path.read_bytes())
    for table, name, definition in keys:
        connection.execute(ADD.format(sql.SQL(table), sql.Identifier(name), sql.SQL(definition)))
    connection.execute("analyze")
    return dict(connection.execute("select parameter, value from argument").fetchall())


def check_scale(tree: Tree, connection: psycopg.Connection[Any]) -> list[Finding]:
    """Run each query on a database that is filled here, roll back, and compare what it read with what it gave."""
    arguments = seed(connection, tree.root)
    return sorted(finding for measured in measure(tree, connection, arguments) for finding in measured.findings)


def measure(
    tree: Tree, connection: psycopg.Connection[Any], arguments: Mapping[str, str | None]
) -> Iterator[Measurement]:
    """Run each query by its generic plan on a database that is filled, and roll back."""
    describer = Describer(connection)
    connection.execute("reset enable_seqscan")
    connection.execute("set plan_cache_mode = force_generic_plan")
    for statement in tree.statements.values():
        description = describe(describer, statement)
        if not isinstance(description, Finding) and description.plan is not None:
            yield _measured(description, connection, arguments)


def _measured(
    description: Description, connection: psycopg.Connection[Any], arguments: Mapping[str, str | None]
) -> Measurement:
    statement = description.statement
    names = [argument_of(statement, parameter.name, arguments) for parameter in statement.parameters]
    missing = [
        parameter
        for parameter, name in zip(statement.parameters, names, strict=True)
        if name is None and not parameter.nullable
    ]
    if missing:
        sentences = [
            (each.line, f"{seed_of(statement)} has no argument {each.name!r} to run it with") for each in missing
        ]
        return Measurement(statement.name, None, [finding_at(statement, *sentence, "scale") for sentence in sentences])
    try:
        plan = _run(description, connection, [arguments[name] if name else None for name in names])
    except psycopg.Error as error:
        sentence = f"with the arguments of {seed_of(statement)}, PostgreSQL says: {error.diag.message_primary}"
        return Measurement(statement.name, None, [finding_at(statement, description.parsed.line, sentence, "scale")])
    complaint = _complaint(plan)
    found = [finding_at(statement, description.parsed.line, complaint, "scale")] if complaint else []
    return Measurement(statement.name, plan, list(unless_accepted(statement, "scale", found)))


def seed_of(statement: Statement) -> str:
    """Return the path of the file whose rows and arguments a query is measured with."""
    return f"sql/{statement.name.partition('.')[0]}/dev/scale.sql"


def argument_of(statement: Statement, parameter: str, arguments: Mapping[str, str | None]) -> str | None:
    """Return the key of the argument for a parameter: that of the query, of the feature, or of the name alone."""
    feature, _, _ = statement.name.partition(".")
    keys = (f"{statement.name}.{parameter}", f"{feature}.{parameter}", parameter)
    return next((key for key in keys if key in arguments), None)


def _run(description: Description, connection: psycopg.Connection[Any], values: list[str | None]) -> Plan:
    """Run a query by its generic plan, and undo what it did."""
    text = description.statement.sql[: description.statement.sql.rindex(";")]
    types, literals = [sql.SQL(each.name) for each in description.parameters], [sql.Literal(each) for each in values]
    row = None
    connection.execute("deallocate all")  # the last one, which no rollback undoes
    connection.execute(PREPARE.format(_list(types), sql.SQL(text)))
    for _ in range(2):  # the first time, functions are planned, and the catalogue is read for that
        with connection.transaction(force_rollback=True):
            row = connection.execute(RUN.format(_list(literals))).fetchone()
    plan: Plan = row[0][0]["Plan"] if row else {}
    return plan


def _list(items: "list[sql.SQL] | list[sql.Literal]") -> sql.Composable:
    return sql.SQL("({})").format(sql.SQL(", ").join(items)) if items else sql.SQL("")


def _complaint(plan: Plan) -> str:
    scans = [node for node in nodes(plan) if "Relation Name" in node and "Scan" in node["Node Type"]]
    read = sum(_rows(node, "Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck") for node in scans)
    changed = sum(_rows(node, "Actual Rows") for node in nodes(plan) if node["Node Type"] == "ModifyTable")
    given = max(plan["Actual Rows"], changed, 1)
    blocks = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    if read <= ROWS_EACH * given and blocks <= BLOCKS_ONCE + BLOCKS_EACH * given:
        return ""
    return f"reads {read:.0f} rows and {blocks} blocks to return or change {given:.0f} rows"


def _rows(node: Plan, *keys: str) -> float:
    total: float = sum(node.get(key, 0) for key in keys) * node["Actual Loops"]
    return total
