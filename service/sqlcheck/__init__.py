"""`sql check` and its sisters: every SQL file and every migration, checked against a real PostgreSQL before deployment.

- `commands`, `command_line`: the commands, and the options and messages that they share
- `check`: a checkout, and every check of its queries
- `code`, `row_classes`: the places in the Python code that name a query, and the classes they read
- `parse_tree`, `description`: a query as PostgreSQL's parser, and as a server, sees it
- `types`, `columns`, `allowed_values`: the types and names of parameters and columns, and the texts a CHECK allows
- `json_shape`, `json_fields`: the JSON that a query builds, and the classes that are read from it
- `node_tree`, `catalogue`, `scope`: the query as PostgreSQL analyses it, and the catalogue that its oids refer to
- `nullability`, `judge`, `null_checks`, `total_functions`: the columns that can be null
- `cardinality`, `guaranteed_rows`, `rows`: how many rows a query returns
- `writes`: required columns, nulls and swapped parameters of inserts and updates
- `plans`: scans that no index serves
- `one_shard`: queries that would ask every shard of a distributed database
- `usage`, `hygiene`, `replica`, `stub`: unused files, session state, read-only queries, the types that mypy reads
- `deploy_order`: the previous release on the new schema
- `scale`: what a query reads on a million rows
- `locks`, `lock_rules`, `squawk`, `rollbacks`: what each migration locks and breaks, and whether it can be undone
- `schema_lint`: keys, indexes and comments that the schema lacks or has twice, and what nothing reads
- `schema`, `schema_queries`, `schema_difference`: a schema as the catalogue tells it, and what differs between two
- `live`: where an existing database differs from what the migrations make
- `scratch`: the databases that all this runs on
- `findings`: what a check reports
"""

# inline-sql: ok the catalogue of a scratch database is read, not the service's

from typing import TYPE_CHECKING

from service.sqlcheck.command_line import (
    DATABASE,
    DIRECTORY,
    migrated_database,
    progress_on_terminal,
    reported_errors,
    scratch_server,
)

if TYPE_CHECKING:
    from service.sqlcheck.check import Tree, apply_migrations, check_tree
    from service.sqlcheck.code import Code, Module, QueryReference
    from service.sqlcheck.deploy_order import RevisionError, checkout
    from service.sqlcheck.description import Column, Describer, Description, Plan
    from service.sqlcheck.findings import Finding
    from service.sqlcheck.locks import Lock, review_migrations
    from service.sqlcheck.null_checks import column_nullability
    from service.sqlcheck.nullability import Nullability
    from service.sqlcheck.parse_tree import Node, walk
    from service.sqlcheck.row_classes import Row
    from service.sqlcheck.scale import measure, seed
    from service.sqlcheck.schema import Constraint, Function, Grant, Index, Schema, Table, read_grants, read_schema
    from service.sqlcheck.schema_checks import describe
    from service.sqlcheck.schema_difference import Change, difference
    from service.sqlcheck.scratch import connect, scratch_database
    from service.sqlcheck.types import SHORT_TYPE_NAMES, Type, Types
    from service.sqlcheck.usage import declared_result

__all__ = [
    "DATABASE",
    "DIRECTORY",
    "SHORT_TYPE_NAMES",
    "Change",
    "Code",
    "Column",
    "Constraint",
    "Describer",
    "Description",
    "Finding",
    "Function",
    "Grant",
    "Index",
    "Lock",
    "Module",
    "Node",
    "Nullability",
    "Plan",
    "QueryReference",
    "RevisionError",
    "Row",
    "Schema",
    "Table",
    "Tree",
    "Type",
    "Types",
    "apply_migrations",
    "check_tree",
    "checkout",
    "column_nullability",
    "connect",
    "declared_result",
    "describe",
    "difference",
    "measure",
    "migrated_database",
    "progress_on_terminal",
    "read_grants",
    "read_schema",
    "reported_errors",
    "review_migrations",
    "scratch_database",
    "scratch_server",
    "seed",
    "walk",
]


def __getattr__(name: str) -> object:
    """Import the checks at their first use (PEP 562): production imports this package without the dev packages."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from service.sqlcheck import (  # noqa: PLC0415 - the reason above
        check,
        code,
        deploy_order,
        description,
        locks,
        null_checks,
        nullability,
        parse_tree,
        scale,
        schema,
        schema_difference,
        types,
        usage,
    )

    checks = (check, code, deploy_order, description, null_checks, nullability, parse_tree, scale, types, usage)
    modules = (*checks, schema, schema_difference, locks)
    return next(getattr(module, name) for module in modules if hasattr(module, name))
