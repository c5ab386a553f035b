"""The checks of migrations, and of the schema that they make.

`migration_files` reads them; locks, lock_state, lock_rules and squawk report what blocks a running service; rollbacks,
whether each rollback restores the schema; functions, what is wrong in the bodies of functions. `schema` and
schema_queries read a schema, schema_difference compares two, and schema_lint reports what it lacks.
"""

from service.sqlcheck.migrations.locks import Lock, review_migrations
from service.sqlcheck.migrations.schema import (
    Constraint,
    Function,
    Grant,
    Index,
    Schema,
    Table,
    read_grants,
    read_schema,
)
from service.sqlcheck.migrations.schema_difference import Change, difference

__all__ = [
    "Change",
    "Constraint",
    "Function",
    "Grant",
    "Index",
    "Lock",
    "Schema",
    "Table",
    "difference",
    "read_grants",
    "read_schema",
    "review_migrations",
]
