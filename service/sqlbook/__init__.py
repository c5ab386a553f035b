"""`sql book`: the schema, the queries, the migrations and the endpoints as pages that a DBA reviews.

- `commands`: the command
- `contents`: gathers everything the book shows, from the tree and from scratch databases
- `effects`: the tables that a statement touches, and the locks it takes
- `endpoints`: the endpoints, and the queries that each one runs
- `live`, `psql`: the files for psql, and the command lines that run a query there
- `plan_tree`: plans, ready to draw, and the index that would serve one better
- `diagram`, `layout`, `mermaid`: the entity diagram, the places of its boxes, and the same for Mermaid
- `pages`: writes the HTML
- `changes`: writes what has changed since a revision, as Markdown

Only the command uses the book, so the door exports nothing.
"""

# inline-sql: ok the catalogue of a scratch database is read, not the service's

__all__: list[str] = []
