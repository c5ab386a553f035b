"""Copies of the whole tree that tests change, and the checks that must still pass."""

import os
import shutil
import subprocess
import sys
from filecmp import cmp
from pathlib import Path

import pytest

from service.embedded import EmbeddedPostgres
from tests.support.processes import ROOT

BIN = Path(sys.executable).parent
CACHE = ROOT / ".mypy_cache"
MADE = ("__pycache__", "*.egg-info", ".*_cache", ".coverage*", ".dev", ".git", ".hypothesis", ".venv", "htmlcov")


def is_identical(path: Path, other: Path) -> bool:
    """Return whether `other` is an identical file."""
    return other.exists() and cmp(path, other, shallow=False)


class Tree:
    """A copy of the tree."""

    def __init__(self, path: Path, database_url: str) -> None:
        """Copy all files that no tool generates; `database_url` is for the scratch databases of SQL checks."""
        self.path = path
        self._database_url = database_url
        shutil.copytree(ROOT, path, ignore=shutil.ignore_patterns(*MADE))

    def run(self, *command: str) -> str:
        """Run a tool that must succeed; return its output."""
        done = self._run(command)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
        return done.stdout

    def fail(self, *command: str) -> str:
        """Run a tool that must report something; return its output."""
        done = self._run(command)
        assert done.returncode == 1, f"{' '.join(command)}\n{done.stdout}"
        return done.stdout

    def shell(self, commands: str) -> None:
        """Run the commands of a page, each of which must succeed."""
        path = f"{BIN}:{os.environ['PATH']}"
        done = subprocess.run(
            ["/bin/bash", "-euc", commands],
            cwd=self.path,
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def command(self, *words: str, package: str = "service") -> tuple[str, ...]:
        """Return a command of the service that uses the tests' server."""
        return "python", "-m", package, *words, "--database-url", self._database_url

    def _run(self, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        # Without the settings of the test run; coverage only of code that changes the tree: other tests cover the rest.
        ours = ("COVERAGE_PROCESS_CONFIG",) if {"new", "remove", "rename"} & {*command} else ()
        inherited = {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR", *ours) if name in os.environ}
        return subprocess.run(
            [BIN / command[0], *command[1:]],
            cwd=self.path,
            env=inherited,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def check(self, package: str = "service") -> None:
        """Run `make check` on the tree, but sqlfluff only on changed files, and `sql` on the tests' server.

        Buffers are measured with 1,000 users.
        """
        if CACHE.exists():  # mypy then rereads only changed files
            shutil.copytree(CACHE, self.path / CACHE.name, dirs_exist_ok=True)
        self.run("python", ".ci/check.py", "sql check", "sqlfluff")
        if different := [*self._different("sql"), *self._different("migrations")]:
            self.run("python", "-m", "sqlfluff", "lint", "--nocolor", *different)
        seed = self.path / "sql" / "dev" / "scale.sql"
        seed.write_text(seed.read_text().replace("100000", "1000").replace("user50000@", "user500@"))
        self.run(*self.command("sql", "check", "--scale", "--rollbacks", package=package))

    def _different(self, folder: str) -> list[str]:
        """Return the SQL files of a folder that are new or changed."""
        paths = [path.relative_to(self.path) for path in (self.path / folder).rglob("*.sql")]
        return [str(path) for path in paths if not is_identical(self.path / path, ROOT / path)]

    def test(self, *paths: str) -> None:
        """Run tests of the copy, with their own PostgreSQL."""
        self.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths)


@pytest.fixture
def whole_tree(tmp_path: Path, server: EmbeddedPostgres) -> Tree:
    """Return a copy of the tree."""
    return Tree(tmp_path / "tree", server.url("postgres"))
