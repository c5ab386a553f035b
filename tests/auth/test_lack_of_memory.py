"""A process that cannot allocate the memory that argon2 needs."""

import subprocess
import sys

import pytest

from tests.support.processes import ROOT

SHORT_OF_MEMORY = """
import asyncio
import resource
from pathlib import Path
from service.auth.passwords import DECOY, Passwords

size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 16 * 1024 * 1024,) * 2)
print(asyncio.run(Passwords().verify("some long password", DECOY)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the memory of a process")
def test_lack_of_memory_is_not_a_wrong_password() -> None:
    """Otherwise it would be counted against the account."""
    ended = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ended.stdout == ""
    assert ended.stderr.splitlines()[-1] == "argon2.exceptions.VerificationError: Memory allocation error"
