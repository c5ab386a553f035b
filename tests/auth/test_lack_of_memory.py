"""A process that cannot allocate the memory that argon2 needs, or start a thread for it."""

import subprocess
import sys

import pytest

from tests.support.processes import ROOT

SHORT_OF_MEMORY = """
import asyncio
import resource
import sys
from pathlib import Path
from service.auth.passwords import DECOY, Passwords
from service.problems import Unavailable
from service.telemetry import configure_logging, log

configure_logging("INFO", "logfmt")
log.info("the thread that writes the log runs")
passwords = Passwords()
use = getattr(passwords, sys.argv[1])
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[2]) * 1024 * 1024, resource.RLIM_INFINITY))
try:
    print(asyncio.run(use("some long password", *[DECOY][: use == passwords.verify])))
except Unavailable:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sys.exit("unavailable")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the memory of a process")
@pytest.mark.parametrize("use", ["verify", "hash", "hash_for_registration"])
@pytest.mark.parametrize(("mebibytes", "reason"), [("16", "Memory allocation error"), ("4", "can't start new thread")])
def test_lack_of_memory_is_unavailable(use: str, mebibytes: str, reason: str) -> None:
    """It is no wrong password, which would be counted against the account."""
    ended = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, use, mebibytes], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ended.stderr == "unavailable\n"
    assert ended.stdout.splitlines()[-1].endswith(f'event="password not hashed" reason="{reason}"')


SHORT_OF_THREADS = """
import asyncio
import resource
from contextlib import suppress
from pathlib import Path
from service.auth.passwords import HashingQueue
from service.problems import Unavailable


async def run():
    queue = HashingQueue("log-ins", 1, 2)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 4 * 1024 * 1024, resource.RLIM_INFINITY))
    for _ in range(3):
        with suppress(Unavailable):
            await queue.run(print, "refused")
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await queue.run(print, "accepted")


asyncio.run(run())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the memory of a process")
def test_refused_work_is_not_done_later() -> None:
    """It would delay others without a limit: the queue no longer counts it."""
    ended = subprocess.run(
        [sys.executable, "-c", SHORT_OF_THREADS], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ended.stdout.splitlines()[-1] == "accepted"
    assert ended.stdout.count("password not hashed") == 3
    assert "\nrefused\n" not in ended.stdout
