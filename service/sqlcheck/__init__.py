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
"""

# inline-sql: ok these queries read the catalogue of scratch databases, not data of the service

from importlib import import_module
from typing import TYPE_CHECKING

from service.sqlcheck.command_line import DATABASE, reported_errors

if TYPE_CHECKING:
    from service.sqlcheck.check import check_tree
    from service.sqlcheck.findings import Finding
    from service.sqlcheck.scratch import connect
    from service.sqlcheck.tree import Tree

# The modules of the names that are imported on first use.
_MODULES = {"Finding": "findings", "Tree": "tree", "check_tree": "check", "connect": "scratch"}

__all__ = ["DATABASE", "Finding", "Tree", "check_tree", "connect", "reported_errors"]


def __getattr__(name: str) -> object:
    """Import a name on first use (PEP 562): production imports this package without the development dependencies."""
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
