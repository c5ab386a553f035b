"""The names that `service.sqlcheck` exports on first use: they need the development dependencies."""

# ruff: noqa: F401 - the same
# mypy: implicit-reexport

from service.sqlcheck.analysis.description import Describer, Description, ResultColumn
from service.sqlcheck.analysis.nullability import Nullability
from service.sqlcheck.analysis.parse_tree import ParseNode, walk_parsed
from service.sqlcheck.analysis.planner import Plan
from service.sqlcheck.analysis.types import MULTIRANGE, RANGE, SHORT_TYPE_NAMES, Type, Types
from service.sqlcheck.check import Progress, check_tree
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
from service.sqlcheck.rules.query_checks import describe
from service.sqlcheck.scale import measure, seed
from service.sqlcheck.scratch import connect, scratch_database
from service.sqlcheck.tree import Tree, apply_migrations
