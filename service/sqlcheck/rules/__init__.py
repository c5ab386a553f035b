"""The checks of queries: a module for each kind of finding.

Read in this order: query_checks (runs those of one query), hygiene (session state, replicas), columns, allowed_values,
json_fields and null_checks (parameters and columns beside the Python code), cardinality and cross_joins (the number of
rows), writes (inserts and updates), plans (scans without an index), one_shard (distributed tables). Then those of all
queries: usage (unused files), python_sql (SQL in Python), stub (mypy's).

To add a check, yield its problems in a module here, by `description.scope` (the analysed query, in which names are
resolved) or `description.parsed` (the parse tree); call it in `query_checks`, and explain it in docs/checks.md. If a
header can accept its findings, add its name to ACCEPTABLE_CHECKS in service/postgres/header_mistakes.py.
"""
