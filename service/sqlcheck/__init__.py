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

Production imports `commands` without the development dependencies, so this file imports nothing.
"""

# inline-sql: ok these queries read the catalogue of scratch databases, not data of the service
