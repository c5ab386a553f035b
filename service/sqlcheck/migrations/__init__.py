"""The checks of migrations, and of the schema that they make.

`migration_files` reads them. locks, lock_state, lock_rules and squawk report what blocks a running service; rollbacks
reports rollbacks that do not restore the schema, as `snapshot` shows it; functions reports mistakes in the bodies of
functions. `schema` and schema_queries read a schema, schema_difference compares two, and schema_lint reports problems.
"""
