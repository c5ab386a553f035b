"""Development tools, which the container image leaves out.

Read in this order: commands (`dev`, `new`, `remove`, `rename`), server (the environment of `make dev`), checked (checks
queries while `dev` serves), scaffold (writes and removes a resource), rename (renames the package).
"""
