"""A cluster for the embedded PostgreSQL."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.embedded import embedded_postgres


@pytest.fixture(scope="session")
def model(workshop: Path) -> Path:
    """Create a cluster to be copied, because initdb is the slowest step."""
    with embedded_postgres(workshop / "model", {"fsync": "off"}):
        return workshop / "model"


@pytest.fixture
def directory(model: Path) -> Iterator[Path]:
    """Return a folder with a separate cluster."""
    copy = model.with_name("copy")
    subprocess.run(["/bin/cp", "-a", model, copy], check=True)
    yield copy
    shutil.rmtree(copy)
