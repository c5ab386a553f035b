"""The checks of migrations, and of the schema that they make.

`migration_files` reads them; locks, lock_state, lock_rules and squawk report what blocks a running service; rollbacks,
whether each rollback restores the schema; functions, what is wrong in the bodies of functions. `schema` and
schema_queries read a schema, schema_difference compares two, and schema_lint reports what it lacks.
"""
