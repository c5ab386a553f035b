"""Fixtures for migrations: a folder, an empty database, processes."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.migrate import MIGRATIONS
from tests.support.migration_folder import Folder

PROGRAM = """
import sys
from pathlib import Path
from service.migrate.runner import Limits, apply
apply(sys.argv[1], Path(sys.argv[2]), report=print, limits=Limits(lock_timeout=30))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a folder with one migration, which creates the table a."""
    folder = Folder(tmp_path / "migrations")
    folder.write("0001_create_a", "create table a (id integer);")
    return folder


@pytest.fixture
def url(empty_database_url: str) -> str:
    """Return the URL of an empty database."""
    return empty_database_url


@pytest.fixture
def start(folder: Folder, url: str) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start `apply` in a separate process, which is killed at the end if it still runs."""
    processes = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-uc", PROGRAM, url, str(folder.path)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=MIGRATIONS.parent))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()
