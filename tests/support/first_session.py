"""The black-box session, run against any running service."""

import os
import subprocess
import sys

import httpx

from tests.support.processes import ROOT, wait_until


def run_black_box(url: str) -> str:
    """Run each test_black_box.py with the command in the first one's docstring; return pytest's last line."""
    # On a busy machine, opening the first connection to PostgreSQL can take longer than a request waits for one.
    wait_until(lambda: _log_in_fails(url), "the service has a connection to PostgreSQL")
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


def _log_in_fails(url: str) -> bool:
    """Return whether a log-in is refused, which needs a connection, instead of answered by 503."""
    form = {"username": "nobody@example.com", "password": "nobody has this password"}
    return httpx.post(f"{url}/auth/access-token", data=form, timeout=20, trust_env=False).status_code == 400
