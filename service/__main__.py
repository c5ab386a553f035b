"""``python -m service``."""

import sys

try:
    from service.cli import main
except ModuleNotFoundError as error:
    if not error.name or error.name.partition(".")[0] == __package__:
        raise
    sys.exit(f"{sys.executable} lacks the package {error.name}; in a checkout, run make dev and use .venv/bin/python")

main(prog_name="python -m service")
