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

from service.sqlcheck.command_line import DATABASE as DATABASE
from service.sqlcheck.command_line import DIRECTORY as DIRECTORY
from service.sqlcheck.command_line import progress_on_terminal as progress_on_terminal
from service.sqlcheck.command_line import reported_errors as reported_errors

if TYPE_CHECKING:
    from service.sqlcheck.analysis.description import Describer as Describer
    from service.sqlcheck.analysis.description import Description as Description
    from service.sqlcheck.analysis.description import ResultColumn as ResultColumn
    from service.sqlcheck.analysis.nullability import Nullability as Nullability
    from service.sqlcheck.analysis.parse_tree import Node as Node
    from service.sqlcheck.analysis.parse_tree import walk as walk
    from service.sqlcheck.analysis.planner import Plan as Plan
    from service.sqlcheck.analysis.types import SHORT_TYPE_NAMES as SHORT_TYPE_NAMES
    from service.sqlcheck.analysis.types import Type as Type
    from service.sqlcheck.analysis.types import Types as Types
    from service.sqlcheck.check import check_tree as check_tree
    from service.sqlcheck.code import Code as Code
    from service.sqlcheck.code import Module as Module
    from service.sqlcheck.code import QueryReference as QueryReference
    from service.sqlcheck.deploy_order import RevisionError as RevisionError
    from service.sqlcheck.deploy_order import checkout as checkout
    from service.sqlcheck.findings import Finding as Finding
    from service.sqlcheck.migrations.locks import Lock as Lock
    from service.sqlcheck.migrations.locks import review_migrations as review_migrations
    from service.sqlcheck.migrations.schema import Constraint as Constraint
    from service.sqlcheck.migrations.schema import Function as Function
    from service.sqlcheck.migrations.schema import Grant as Grant
    from service.sqlcheck.migrations.schema import Index as Index
    from service.sqlcheck.migrations.schema import Schema as Schema
    from service.sqlcheck.migrations.schema import Table as Table
    from service.sqlcheck.migrations.schema import Trigger as Trigger
    from service.sqlcheck.migrations.schema import qualified as qualified
    from service.sqlcheck.migrations.schema import read_grants as read_grants
    from service.sqlcheck.migrations.schema import read_schema as read_schema
    from service.sqlcheck.migrations.schema_difference import Change as Change
    from service.sqlcheck.migrations.schema_difference import difference as difference
    from service.sqlcheck.row_classes import Row as Row
    from service.sqlcheck.rules.null_checks import column_nullability as column_nullability
    from service.sqlcheck.rules.schema_checks import describe as describe
    from service.sqlcheck.scale import measure as measure
    from service.sqlcheck.scale import seed as seed
    from service.sqlcheck.scratch import connect as connect
    from service.sqlcheck.scratch import scratch_database as scratch_database
    from service.sqlcheck.tree import Tree as Tree
    from service.sqlcheck.tree import apply_migrations as apply_migrations

# The modules of the names that are imported on first use.
_MODULES = {
    "analysis.description": "Describer Description ResultColumn",
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
    "scale": "measure seed",
    "scratch": "connect scratch_database",
    "tree": "Tree apply_migrations",
}


def __getattr__(name: str) -> object:
    """Import a name on first use (PEP 562): production imports this package without the development dependencies."""
    for module, names in _MODULES.items():
        if name in names.split():
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
