"""Temporary folders, in memory if there is room."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEMORY = "/dev/shm"  # noqa: S108 - the names of the folders in it cannot be guessed


@contextmanager
def temporary_folder(prefix: str, *, room: int) -> Iterator[Path]:
    """Create a folder, in memory if `room` bytes are free there, and remove it after the context."""
    roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > room
    with tempfile.TemporaryDirectory(prefix=prefix, dir=MEMORY if roomy else None) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def workshop() -> Iterator[Path]:
    """Return a folder that only its owner can enter, for clusters of 40 MB each."""
    with temporary_folder("workshop-", room=2**29) as path:
        yield path
