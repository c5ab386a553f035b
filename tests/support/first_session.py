"""The black-box session, run against any running service."""

import os
import subprocess
import sys

from tests.support.processes import ROOT


def run_black_box(url: str) -> str:
    """Run each test_black_box.py with the command in the first one's docstring; return pytest's last line."""
    files = sorted(ROOT.glob("tests/**/test_black_box.py"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--noconftest",
            "-p",
            "tests.support.black_box",
            "-q",
            "-p",
            "no:cacheprovider",
            *files,
        ],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if not name.startswith(("PYTEST", "COVERAGE", "SQL_RAN"))}
        | {"BLACK_BOX_URL": url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]
