"""The packages of traces, as docs/observability.md installs them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT

PAGE = (ROOT / "docs/observability.md").read_text(encoding="utf-8")


def test_heroku_installs_the_tested_trace_packages(tmp_path: Path) -> None:
    for lock in ("requirements.txt", "requirements-traces.txt"):
        shutil.copy(ROOT / lock, tmp_path)
    [copying] = re.findall(r"`(cp requirements[^`]+)`", PAGE)
    installing = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--offline", "--dry-run", "--no-deps"]

    subprocess.run(["/bin/sh", "-euc", copying], cwd=tmp_path, check=True)
    done = subprocess.run(
        [*installing, "--python", sys.executable, "--requirement", "requirements.txt"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "opentelemetry-sdk==" in (tmp_path / "requirements.txt").read_text()
    assert done.stderr.endswith("Would make no changes\n")
