"""The checks of one query: a module for each kind of finding.

`schema_checks` runs those that depend on the schema: columns, allowed_values, json_fields and null_checks compare
parameters and columns with the Python code; cardinality and cross_joins look at the number of rows, writes at inserts
and updates, plans at scans without an index. The others need no schema, or more than one query: hygiene (session
state, replicas), one_shard (distributed tables), usage (unused files), python_sql (SQL in Python), stub (mypy's).
"""
