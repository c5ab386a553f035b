"""Runs the commands in this process, and git."""

import os
import subprocess
from pathlib import Path

from click.testing import CliRunner, Result

from service.cli import main


def invoke(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, ["sql", *arguments], env={"SQL_RAN": None}, catch_exceptions=False)


def commit(root: Path) -> None:
    """Create a git repository from a folder and all its files."""
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all"],
        [*author, "commit", "--quiet", "--message", "Release"],
    ):
        subprocess.run(["/usr/bin/env", "git", *command], cwd=root, env=os.environ | nobody, check=True)
