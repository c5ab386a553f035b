"""Folders for the embedded PostgreSQL."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.embedded.server import embedded_postgres


@pytest.fixture(scope="session")
def workshop() -> Iterator[Path]:
    """Make a folder that only we may enter, in memory where there is enough for a few clusters of 40 MB."""
    memory = "/dev/shm"  # noqa: S108 - mkdtemp makes the name
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**29
    path = tempfile.mkdtemp(dir=memory if roomy else None)
    yield Path(path)
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def model(workshop: Path) -> Path:
    """Make a cluster to be copied, because initdb is what takes longest."""
    with embedded_postgres(workshop / "model", {"fsync": "off"}):
        return workshop / "model"


@pytest.fixture
def directory(model: Path) -> Iterator[Path]:
    """Give a test a folder with a cluster of its own."""
    copy = model.with_name("copy")
    subprocess.run(["/bin/cp", "-a", model, copy], check=True)
    yield copy
    shutil.rmtree(copy)
