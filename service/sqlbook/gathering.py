"""Collects the contents of the book from the source tree and from two scratch databases."""

import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import psycopg

from service.migrate import checksum, load_migrations, migration_files
from service.problems import OperatorError
from service.sqlbook.contents import Contents, MigrationPage, QueryPage, Result, Size
from service.sqlbook.effects import advisory_locks, effects, functions
from service.sqlbook.endpoints import endpoints
from service.sqlbook.plan_tree import PlanNode
from service.sqlbook.psql import live_files
from service.sqlcheck import (
    Describer,
    Description,
    Finding,
    Grant,
    Nullability,
    Progress,
    QueryReference,
    Row,
    Schema,
    Tree,
    apply_migrations,
    check_tree,
    column_nullability,
    connect,
    describe,
    difference,
    measure,
    read_grants,
    read_schema,
    review_migrations,
    scratch_database,
    seed,
)

Connection = psycopg.Connection[Any]

SIZES = """
    select n.nspname::text, c.relname::text, c.reltuples::bigint, pg_relation_size(c.oid), pg_total_relation_size(c.oid)
    from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm', 'i')
"""


class MigrationFailedError(OperatorError):
    """A migration or ``sql/roles.sql`` fails, so there is no schema to show."""


def gather(tree: Tree, server: str, *, seeded: bool = False, progress: Progress = lambda _: None) -> Contents:
    """Collect the contents of the book from `tree`, using scratch databases on `server`.

    :param seeded: whether to measure sizes and plans on a million rows
    :param progress: called with the name of each step; `steps` returns their number
    :raises MigrationFailedError: a migration or ``sql/roles.sql`` fails
    :raises psycopg.Error: PostgreSQL fails otherwise
    """
    found: list[Finding] = []
    with scratch_database(server) as url:
        if failed := apply_migrations(tree, url):
            raise MigrationFailedError(str(failed))
        with scratch_database(server) as empty, connect(empty) as connection:
            migrations, schema = _migrations(tree, connection, found, progress)
        with connect(url) as connection:
            found += check_tree(tree, connection, progress=progress)
            grants = _grants(tree, connection)
            version = connection.info.parameter_status("server_version") or ""
            queries = {query.name: query for query in _queries(tree, connection, progress)}
            live = live_files(tree.root, connection)
            sizes = _measure(tree, connection, queries, found, progress) if seeded else None
    return Contents(
        project=_project(tree.root),
        revision=_revision(tree.root),
        postgresql=version.partition(" ")[0],
        schema=schema,
        queries=queries,
        migrations=migrations,
        grants=grants,
        endpoints=endpoints(tree.code),
        live=live,
        findings=sorted(set(found)),
        sizes=sizes,
    )


def steps(tree: Tree, *, seeded: bool) -> int:
    """Return how many times `gather` reports its progress."""
    queries = len(tree.statements)
    return len(migration_files(tree.migrations)) + queries * 2 + seeded


def _migrations(
    tree: Tree, connection: Connection, found: list[Finding], progress: Progress
) -> tuple[dict[str, MigrationPage], Schema]:
    """Apply the migrations one by one to an empty database, and compare the schema before and after each."""
    files = {each.id: each for each in load_migrations(tree.migrations)}
    migrations: dict[str, MigrationPage] = {}
    before = read_schema(connection)
    for reviewed in review_migrations(connection, tree.migrations):
        progress(reviewed.name)
        found += reviewed.findings
        after, file = read_schema(connection), files[reviewed.name]
        migrations[reviewed.name] = MigrationPage(
            name=reviewed.name,
            path=Path(file.path),
            depends=sorted(each.id for each in file.depends),
            transactional=file.use_transactions,
            checksum=checksum(Path(file.path)),
            locks=reviewed.locks,
            changes=difference(before, after),
        )
        before = after
    return migrations, before


def _grants(tree: Tree, connection: Connection) -> list[Grant]:
    """Read the grants, including those of sql/roles.sql (rolled back), if PostgreSQL allows it to create roles."""
    roles = tree.root / "sql/roles.sql"
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(roles.read_bytes() if roles.exists() else b"")
            return read_grants(connection)
    except psycopg.errors.InsufficientPrivilege:
        return read_grants(connection)
    except psycopg.Error as error:
        raise MigrationFailedError(f"sql/roles.sql: PostgreSQL says: {error.diag.message_primary}") from error


def _queries(tree: Tree, connection: Connection, progress: Progress) -> Iterator[QueryPage]:
    describer = Describer(connection)
    schema = read_schema(connection)  # includes the tables of yoyo, which some queries read
    all_endpoints = endpoints(tree.code)
    for name, statement in tree.statements.items():
        progress(name)
        description = describe(describer, statement)
        query = QueryPage(statement, tree.references(name), [each for each in all_endpoints if name in each.queries])
        if isinstance(description, Finding):
            yield attrs.evolve(query, refused=description)
            continue
        node = description.parsed.tree
        yield attrs.evolve(
            query,
            description=description,
            results=_results(description, query.references, column_nullability(description)),
            effects=effects(node, schema),
            advisory=advisory_locks(node),
            functions=functions(node, schema),
            plan=PlanNode.of(description.plan) if description.plan else None,
        )


def _results(description: Description, references: list[QueryReference], nulls: list[Nullability]) -> list[Result]:
    row = next((reference.row for reference in references if isinstance(reference.row, Row)), None)
    becomes = [f"{row.name}.{field.name}: {field.annotation}" for field in row.fields] if row else []
    if len(becomes) != len(description.columns):
        becomes = [""] * len(description.columns)
    marked = {marker.name: (False, "the header says so") for marker in description.statement.not_null}
    return [
        Result(column, *marked.get(column.name, (not each.never_null, each.why)), field)
        for column, each, field in zip(description.columns, nulls, becomes, strict=True)
    ]


def _measure(
    tree: Tree, connection: Connection, queries: dict[str, QueryPage], found: list[Finding], progress: Progress
) -> dict[tuple[str, str], Size]:
    """Fill the tables, measure them, and run each query; its measured plan replaces the one on empty tables."""
    progress("filling the tables")
    arguments = seed(connection, tree.root)
    sizes = {(schema, name): Size(*size) for schema, name, *size in connection.execute(SIZES).fetchall()}
    for measured in measure(tree, connection, arguments):
        found += measured.findings
        if measured.plan:
            queries[measured.name] = attrs.evolve(queries[measured.name], plan=PlanNode.of(measured.plan))
    return sizes


def _project(root: Path) -> str:
    try:
        return str(tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["name"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return root.name


def _revision(root: Path) -> str:
    """Return git's name of the checked-out commit, or an empty string without git."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--tags"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the command is fixed
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
