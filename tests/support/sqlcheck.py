"""Runs the commands in this process."""

from click.testing import CliRunner, Result

from service.cli import main


def invoke(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, ["sql", *arguments], env={"SQL_RAN": None}, catch_exceptions=False)
