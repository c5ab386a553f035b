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
- `exports`: the names that other packages import
"""

# inline-sql: ok these queries read the catalogue of scratch databases, not data of the service

from importlib import import_module
from typing import TYPE_CHECKING

from service.sqlcheck.command_line import DATABASE as DATABASE
from service.sqlcheck.command_line import DIRECTORY as DIRECTORY
from service.sqlcheck.command_line import progress_on_terminal as progress_on_terminal
from service.sqlcheck.command_line import reported_errors as reported_errors

if TYPE_CHECKING:
    from service.sqlcheck.exports import *  # noqa: F403 - all that __getattr__ returns


def __getattr__(name: str) -> object:
    """Import a name on first use (PEP 562): production imports this package without the development dependencies."""
    exports = import_module(f"{__name__}.exports")
    if hasattr(exports, name):
        return getattr(exports, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
