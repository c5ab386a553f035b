"""`sql book`: the schema, queries, migrations and endpoints as HTML pages for review by a DBA.

Read in this order: commands (the command line), contents (everything that the book shows), gathering (collects it),
effects (the tables that a statement touches, and its locks), endpoints (the endpoints and the queries that each runs),
psql (commands and files for psql), plan_tree (plans, and the index that would serve a query better), diagram, layout
and mermaid (the entity diagram, the positions of its boxes, and the diagram as Mermaid text), pages (writes the HTML),
changes (the changes since a revision, as Markdown). Tables and columns are those of
`service.sqlcheck.migrations.schema`; the templates show them by their attributes.

The package exports nothing, because only its command is used.
"""

# inline-sql: ok it reads the catalogue of a scratch database, not the service's tables

__all__: list[str] = []
