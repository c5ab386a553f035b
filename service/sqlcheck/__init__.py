"""`sql check` and related commands: they check every query and migration against a real PostgreSQL.

Read the modules in this order:

- `commands`, `command_line`: the commands, and their options and output
- `tree`, `check`, `schema_checks`, `findings`: a checkout, all its checks, those of one query, and their results
- `code`, `row_classes`: references to queries in the Python code, and the classes of their rows
- `parse_tree`, `description`: a query as PostgreSQL's parser and a server describe it
- `types`, `columns`, `allowed_values`: the types and names of parameters and columns, and the texts that a CHECK allows
- `node_tree`, `node_enums`, `catalogue`, `scope`, `not_null`: the analysed query, and the catalogue to which it refers
- `null_checks`, `nullability`, `nullability_inference`, `call_nullability`, `total_functions`: columns that can be null
- `json_shape`, `json_fields`: JSON that a query builds, and the classes that are built from it
- `cardinality`, `max_rows`, `min_rows`, `cross_joins`: how many rows a query returns
- `writes`: omitted columns, nulls and swapped parameters in inserts and updates
- `plans`, `scale`: scans without an index, and the rows that a query reads on large tables
- `one_shard`: queries that would run on every shard of a distributed database
- `usage`, `hygiene`, `python_sql`, `replica`, `stub`: unused files, session state, SQL in Python, replicas, mypy stubs
- `functions`: the functions that the migrations create
- `deploy_order`: the previous release on the new schema
- `migration_files`, `locks`, `lock_rules`, `squawk`, `rollbacks`: locks of migrations, and their rollbacks
- `schema_lint`: missing and duplicate keys, indexes and comments, and unread tables and columns
- `schema`, `schema_queries`, `schema_difference`, `drift`: a schema, and its differences from another
- `scratch`: scratch databases
"""

# inline-sql: ok these queries read the catalogue of scratch databases, not data of the service

from importlib import import_module
from typing import TYPE_CHECKING

from service.sqlcheck.command_line import DATABASE, DIRECTORY, progress_on_terminal, reported_errors

if TYPE_CHECKING:
    from service.sqlcheck.check import check_tree
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
    from service.sqlcheck.tree import Tree, apply_migrations
    from service.sqlcheck.types import SHORT_TYPE_NAMES, Type, Types
    from service.sqlcheck.usage import declared_result

# The modules of the names that are imported on first use.
_MODULES = {
    "check": ("check_tree",),
    "code": ("Code", "Module", "QueryReference"),
    "deploy_order": ("RevisionError", "checkout"),
    "description": ("Column", "Describer", "Description", "Plan"),
    "findings": ("Finding",),
    "locks": ("Lock", "review_migrations"),
    "null_checks": ("column_nullability",),
    "nullability": ("Nullability",),
    "parse_tree": ("Node", "walk"),
    "row_classes": ("Row",),
    "scale": ("measure", "seed"),
    "schema": ("Constraint", "Function", "Grant", "Index", "Schema", "Table", "read_grants", "read_schema"),
    "schema_checks": ("describe",),
    "schema_difference": ("Change", "difference"),
    "scratch": ("connect", "scratch_database"),
    "tree": ("Tree", "apply_migrations"),
    "types": ("SHORT_TYPE_NAMES", "Type", "Types"),
    "usage": ("declared_result",),
}

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
    "progress_on_terminal",
    "read_grants",
    "read_schema",
    "reported_errors",
    "review_migrations",
    "scratch_database",
    "seed",
    "walk",
]


def __getattr__(name: str) -> object:
    """Import a name on first use (PEP 562): production imports this package without the development dependencies."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
