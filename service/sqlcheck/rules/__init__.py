"""The checks of queries: a module for each kind of finding.

Read in this order: query_checks (runs those of one query), hygiene (session state, replicas), columns, allowed_values,
json_fields and null_checks (parameters and columns beside the Python code), cardinality and cross_joins (the number of
rows), writes (inserts and updates), plans (scans without an index), one_shard (distributed tables). Then those of all
queries: usage (unused files), python_sql (SQL in Python), stub (mypy's).

A new check of one query yields problems here, is called in `query_checks`, and has a section in docs/checks.md. If a
header can accept it, `ACCEPTABLE_CHECKS` of service.postgres lists it.
"""
