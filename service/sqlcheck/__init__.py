"""`sql check` and related commands: they check every query and migration against a real PostgreSQL.

Read in this order:

- `commands`, `command_line`: the commands, and their options and output
- `tree`, `code`, `row_classes`: a checkout, the references to queries in its Python code, and the classes of their rows
- `check`, `findings`, `scratch`: all checks of a checkout, their results, and scratch databases
- `analysis/`: what PostgreSQL makes of a query
- `rules/`: the checks of one query
- `migrations/`: the checks of migrations, and of the schema that they make
- `scale`: the rows that a query reads on large tables
- `deploy_order`, `drift`: the previous release on the new schema, and a live database beside the migrations
"""

# inline-sql: ok these queries read the catalogue of scratch databases, not data of the service

from importlib import import_module
from typing import TYPE_CHECKING

from service.sqlcheck.command_line import DATABASE, DIRECTORY, progress_on_terminal, reported_errors

if TYPE_CHECKING:
    from service.sqlcheck.analysis.description import Column, Describer, Description
    from service.sqlcheck.analysis.nullability import Nullability
    from service.sqlcheck.analysis.parse_tree import Node, walk
    from service.sqlcheck.analysis.planner import Plan
    from service.sqlcheck.analysis.types import SHORT_TYPE_NAMES, Type, Types
    from service.sqlcheck.check import check_tree
    from service.sqlcheck.code import Code, Module, QueryReference
    from service.sqlcheck.deploy_order import RevisionError, checkout
    from service.sqlcheck.findings import Finding
    from service.sqlcheck.migrations.locks import Lock, review_migrations
    from service.sqlcheck.migrations.schema import (
        Constraint,
        Function,
        Grant,
        Index,
        Schema,
        Table,
        Trigger,
        qualified,
        read_grants,
        read_schema,
    )
    from service.sqlcheck.migrations.schema_difference import Change, difference
    from service.sqlcheck.row_classes import Row
    from service.sqlcheck.rules.null_checks import column_nullability
    from service.sqlcheck.rules.schema_checks import describe
    from service.sqlcheck.rules.usage import declared_result
    from service.sqlcheck.scale import measure, seed
    from service.sqlcheck.scratch import connect, scratch_database
    from service.sqlcheck.tree import Tree, apply_migrations

# The modules of the names that are imported on first use.
_MODULES = {
    "analysis.description": "Column Describer Description",
    "analysis.nullability": "Nullability",
    "analysis.parse_tree": "Node walk",
    "analysis.planner": "Plan",
    "analysis.types": "SHORT_TYPE_NAMES Type Types",
    "check": "check_tree",
    "code": "Code Module QueryReference",
    "deploy_order": "RevisionError checkout",
    "findings": "Finding",
    "migrations.locks": "Lock review_migrations",
    "migrations.schema": "Constraint Function Grant Index Schema Table Trigger qualified read_grants read_schema",
    "migrations.schema_difference": "Change difference",
    "row_classes": "Row",
    "rules.null_checks": "column_nullability",
    "rules.schema_checks": "describe",
    "rules.usage": "declared_result",
    "scale": "measure seed",
    "scratch": "connect scratch_database",
    "tree": "Tree apply_migrations",
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
    "Trigger",
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
    "qualified",
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
        if name in names.split():
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
