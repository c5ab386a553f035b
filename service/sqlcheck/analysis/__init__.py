"""What PostgreSQL makes of a query: its types, its columns, and which of them can be null.

Read in this order: parse_tree, description and refusal (a query as the parser and a server describe it, or why they
reject it), planner (its plan), types (of parameters and columns), query_tree, node_enums, query_parts, catalogue and
catalogue_queries (the analysed query, and what it refers to), scope, joins and not_null (the relations and conditions
of one SELECT), nullability, assumptions, nullability_inference, expression_nullability, written_rows and
total_functions (columns that can be null), max_rows and min_rows (how many rows a query returns), session_need (whether
it returns none after the session has ended), nested_arrays (arrays of arrays), json_shape (the JSON that it builds).

A new rule about nulls belongs in total_functions if it is about a function, in not_null if it is about a condition,
and otherwise in `NullabilityInference.expression`. Its test cases belong in tests/sqlcheck/nullability/.
"""
