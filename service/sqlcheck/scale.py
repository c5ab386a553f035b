"""`sql check --scale`: the rows and blocks that each query reads on large tables, per row returned or changed.

That a plan uses an index proves little: PostgreSQL 18 can skip-scan an index without its first column, and an indexed
condition can hide one that no index serves.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from textwrap import shorten
from typing import Any

import attrs
import pglast
import psycopg
from pglast.parser import ParseError
from psycopg import sql

from service.postgres import Statement
from service.problems import OperatorError
from service.sqlcheck.analysis.description import Describer, Description
from service.sqlcheck.analysis.planner import Plan, plan_nodes
from service.sqlcheck.findings import Finding, finding_at, findings_of
from service.sqlcheck.rules.query_checks import describe
from service.sqlcheck.tree import Tree

SEED = Path("sql/dev/scale.sql")
# The additions of each feature.
SEEDS = "sql/*/dev/scale.sql"
# Limits per row returned or changed; each row can be on a page of its own, below an index of four levels.
ROWS_EACH = 10
BLOCKS_EACH = 20
# Blocks that a statement reads in addition: for constraints, triggers and the insertion into indexes.
BLOCKS_ONCE = 60

FOREIGN_KEYS = """
    select conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), confrelid::regclass::text
    from pg_constraint where contype = 'f' and conparentid = 0 -- those of partitions follow
"""
FILLED = re.compile(r"\binsert into ([\w.]+)", re.IGNORECASE)
# Characters of a DETAIL, which can be a whole row.
MAX_DETAIL = 200
DROP, ADD = sql.SQL("alter table {} drop constraint {}"), sql.SQL("alter table {} add constraint {} {}")
PREPARE = sql.SQL("prepare measured {} as {}")
RUN = sql.SQL("explain (analyze, buffers, format json) execute measured {}")  # buffers: the default only since 18


class SeedError(OperatorError):
    """A file that fills the tables cannot be read, or a statement of it has failed."""

    def __init__(self, path: Path, line: int, error: Exception) -> None:
        """Name the file and the line."""
        if isinstance(error, psycopg.Error):
            sentence = _complaint(error)
        else:
            sentence = f"cannot be read: {error.strerror if isinstance(error, OSError) else error}"
        self.finding = Finding(path.as_posix(), line, sentence, "scale")
        super().__init__(str(self.finding))


def _complaint(error: psycopg.Error) -> str:
    """Return what PostgreSQL says, with the DETAIL, which alone names a duplicate key; the rows are invented."""
    detail = shorten(error.diag.message_detail or "", MAX_DETAIL).rstrip(".")
    return f"PostgreSQL says: {error.diag.message_primary}" + (f" ({detail})" if detail else "")


@attrs.frozen
class Measurement:
    """A query, its plan as executed (None if it could not be run), and its findings."""

    name: str
    plan: Plan | None
    findings: list[Finding]


def seed(connection: psycopg.Connection[Any], root: Path) -> dict[str, str | None]:
    """Fill the tables, and return the arguments for the queries, by key. Raises SeedError."""
    # Foreign keys are dropped until the tables are filled: checking them for each row would take most of the time.
    keys = connection.execute(FOREIGN_KEYS).fetchall()
    for table, name, *_ in keys:
        connection.execute(DROP.format(sql.SQL(table), sql.Identifier(name)))
    references = [(table, referenced) for table, _, _, referenced in keys]
    texts = {path: _read(path, root) for path in (root / SEED, *sorted(root.glob(SEEDS)))}
    filled_by = {table: path for path, text in texts.items() for table in FILLED.findall(text)}
    for path in _ordered(root / SEED, texts, references):
        _run_seed(connection, path.relative_to(root), texts[path])
    for table, name, definition, _ in keys:
        try:
            connection.execute(ADD.format(sql.SQL(table), sql.Identifier(name), sql.SQL(definition)))
        except psycopg.Error as error:
            raise SeedError(filled_by.get(table, root / SEED).relative_to(root), 1, error) from error
    # A plain analyze would leave rows in the pending lists of GIN indexes, which each query then reads.
    connection.execute("vacuum analyze" if connection.autocommit else "analyze")
    return dict(connection.execute("select parameter, value from argument").fetchall())


def _read(path: Path, root: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SeedError(path.relative_to(root), 1, error) from error


def _ordered(first: Path, texts: Mapping[Path, str], references: Collection[tuple[str, str]]) -> list[Path]:
    """Return the `first` file, then the others: each after the files that fill the tables referenced by its own."""
    filled = {path: set(FILLED.findall(text)) for path, text in texts.items()}
    referenced = {path: {to for table, to in references if table in tables} for path, tables in filled.items()}
    before = {path: {first, *(other for other in texts if referenced[path] & filled[other])} - {path} for path in texts}
    try:
        return [*TopologicalSorter({**before, first: set()}).static_order()]
    except CycleError:  # no order serves all references: keep that of the names
        return [*texts]


def _run_seed(connection: psycopg.Connection[Any], path: Path, text: str) -> None:
    """Run a file statement by statement, so that an error has a line. Raises SeedError."""
    try:
        parts = [*pglast.split(text, only_slices=True)]
    except ParseError:  # PostgreSQL reports it
        parts = [slice(len(text))]
    for part in parts:
        try:
            connection.execute(text[part].encode())
        except psycopg.Error as error:
            position = (part.start or 0) + int(error.diag.statement_position or 1) - 1
            raise SeedError(path, text.count("\n", 0, position) + 1, error) from error


def check_scale(tree: Tree, connection: psycopg.Connection[Any]) -> list[Finding]:
    """Fill a database, run each query on it, roll back, and find those that read too much."""
    try:
        arguments = seed(connection, tree.root)
    except SeedError as error:
        return [error.finding]
    return sorted(finding for measured in measure(tree, connection, arguments) for finding in measured.findings)


def measure(
    tree: Tree, connection: psycopg.Connection[Any], arguments: Mapping[str, str | None]
) -> Iterator[Measurement]:
    """Run each query with its generic plan on a filled database, and roll back."""
    describer = Describer(connection)
    connection.execute("reset enable_seqscan")
    connection.execute("set plan_cache_mode = force_generic_plan")
    for statement in tree.statements.values():
        description = describe(describer, statement)
        if not isinstance(description, Finding) and description.plan:
            yield _measure_query(description, connection, arguments)


def _measure_query(
    description: Description, connection: psycopg.Connection[Any], arguments: Mapping[str, str | None]
) -> Measurement:
    statement = description.statement
    names = [argument_key(statement, parameter.name, arguments) for parameter in statement.parameters]
    missing = [
        finding_at(statement, each.line, f"{seed_path(statement)} has no argument {each.name!r} to run it", "scale")
        for each, name in zip(statement.parameters, names, strict=True)
        if name is None and not each.nullable
    ]
    if missing:
        return Measurement(statement.name, None, missing)
    try:
        plan = _run(description, connection, [arguments[name] if name else None for name in names])
    except psycopg.Error as error:
        sentence = f"with the arguments of {seed_path(statement)}, {_complaint(error)}"
        return Measurement(statement.name, None, [finding_at(statement, description.parsed.line, sentence, "scale")])
    problem = _problem(plan)
    problems = [("scale", description.parsed.line, problem)] if problem else []
    return Measurement(statement.name, plan, list(findings_of(statement, problems, {"scale"})))


def seed_path(statement: Statement) -> str:
    """Return the path of the file with the rows and arguments for a query."""
    return f"sql/{statement.name.partition('.')[0]}/dev/scale.sql"


def argument_key(statement: Statement, parameter: str, arguments: Mapping[str, str | None]) -> str | None:
    """Return the key of a parameter's argument, the most specific first; None if there is no argument."""
    feature, _, _ = statement.name.partition(".")
    keys = (f"{statement.name}.{parameter}", f"{feature}.{parameter}", parameter)
    return next((key for key in keys if key in arguments), None)


def _run(description: Description, connection: psycopg.Connection[Any], values: list[str | None]) -> Plan:
    """Run a query with its generic plan, and roll back."""
    text = description.statement.sql[: description.statement.sql.rindex(";")]
    types, literals = [sql.SQL(each.name) for each in description.parameters], [sql.Literal(each) for each in values]
    row = None
    connection.execute("deallocate all")  # a rollback does not deallocate the previous one
    connection.execute(PREPARE.format(_list(types), sql.SQL(text)))
    for _ in range(2):  # the first run also plans functions and reads the catalogue
        with connection.transaction(force_rollback=True):
            row = connection.execute(RUN.format(_list(literals))).fetchone()
    plan: Plan = row[0][0]["Plan"] if row else {}
    return plan


def _list(items: "list[sql.SQL] | list[sql.Literal]") -> sql.Composable:
    return sql.SQL("({})").format(sql.SQL(", ").join(items)) if items else sql.SQL("")


def _problem(plan: Plan) -> str:
    scans = [node for node in plan_nodes(plan) if "Relation Name" in node and "Scan" in node["Node Type"]]
    read = sum(_rows(node, "Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck") for node in scans)
    changed = sum(_rows(node, "Actual Rows") for node in plan_nodes(plan) if node["Node Type"] == "ModifyTable")
    results = max(plan["Actual Rows"], changed, 1)
    blocks = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    if read <= ROWS_EACH * results and blocks <= BLOCKS_ONCE + BLOCKS_EACH * results:
        return ""
    return f"reads {read:.0f} rows and {blocks} blocks to return or change {results:.0f} rows"


def _rows(node: Plan, *keys: str) -> float:
    total: float = sum(node.get(key, 0) for key in keys) * node["Actual Loops"]
    return total
