"""The checks of migrations, and of the schema that they make.

Read in this order: migration_files (reads them), locks, lock_state, lock_step, lock_rules, whole_table and squawk (what
blocks a running service), function_bodies (parses functions) and functions (their mistakes), schema and schema_queries
(read a schema), schema_difference (compares two), schema_lint (its problems), snapshot and rollbacks (rollbacks that do
not restore it).
"""
