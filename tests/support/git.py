"""git in the folder of a test, without the developer's configuration."""

import os
import subprocess
from pathlib import Path

IDENTITY = {f"GIT_{who}_{what}": "tests@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
ENVIRONMENT = IDENTITY | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": os.environ["PATH"]}


def git(root: Path, *arguments: str) -> str:
    """Run git in a folder, and return its output."""
    command = ["git", *arguments]
    return subprocess.run(command, cwd=root, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True).stdout


def commit(root: Path) -> None:
    """Commit all files of a folder, which becomes a repository with the branch main if it is none."""
    if not (root / ".git").exists():
        git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "As it is")
