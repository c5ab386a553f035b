"""Development tools, which the container image leaves out.

Read in this order: commands (`dev`, `new`, `remove`, `rename`), server (the environment of `make dev`), checked_pool
(checks queries while `dev` serves), scaffold (writes and removes a resource), renaming (renames the package).
"""
