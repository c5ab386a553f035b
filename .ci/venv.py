"""Create .venv from requirements-dev.txt with only Python and pip; the Makefile runs this.

uv, which the lock file pins, installs the packages in a few seconds; if it cannot, pip does so in under a minute.
"""

import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

LOCK = Path("requirements-dev.txt")
VENV = Path(".venv")
PYTHON = VENV / "bin/python"
READY = VENV / "ready"  # written last: a .venv without it is incomplete

# The lock file names every package, so there is nothing to resolve or build. First use compiles the bytecode.
AS_LOCKED = ("--require-hashes", "--no-deps")
WHEELS_ONLY = ("--only-binary", ":all:", "--no-compile")


def main() -> None:
    """Create .venv, or wait for another process that is creating it."""
    signal.signal(signal.SIGTERM, _end)
    with LOCK.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Waiting for another make that is installing into .venv ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_ready():
            _make()


def _is_ready() -> bool:
    """Return whether .venv is complete and no older than the lock file, and its Python still works."""
    if not READY.exists() or READY.stat().st_mtime < LOCK.stat().st_mtime or not os.access(PYTHON, os.X_OK):
        return False
    return subprocess.run([PYTHON, "-c", "import _pytest"], stderr=subprocess.DEVNULL, check=False).returncode == 0


def _make() -> None:
    began = time.monotonic()
    version = ".".join(map(str, sys.version_info[:3]))
    _say(f"Creating .venv with Python {version} ({sys.executable}) ...")
    READY.unlink(missing_ok=True)
    _must("create .venv", sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV))
    pip = _find_pip()

    _say(f"Installing the packages in {LOCK} (once; 10 s to a minute) ...")
    if _chose_an_index(pip) or not _install_by_uv(pip):
        _must("install", *pip, "install", "--quiet", *AS_LOCKED, *WHEELS_ONLY, "--requirement", str(LOCK))
    READY.touch()
    _say(f"Done in {time.monotonic() - began:.0f} s.")


def _find_pip() -> tuple[str, ...]:
    """Return a pip that installs into .venv: that of this Python, or else one installed in .venv.

    The first saves a few seconds, and is the only one if the distribution packages ensurepip separately.
    """
    ours = (sys.executable, "-m", "pip", "--python", str(PYTHON))  # --python: pip 22.3 or later
    if _run(*ours, "--version") is None:
        return ours
    if _run(str(PYTHON), "-m", "ensurepip") is not None:
        sys.exit(
            f"{sys.executable} has neither pip nor ensurepip. Install one (Debian, Ubuntu: apt install python3-venv),"
            " or name another Python: make PYTHON=/path/to/python3"
        )
    return (str(PYTHON), "-m", "pip")


def _chose_an_index(pip: tuple[str, ...]) -> bool:
    """Return whether pip is configured with an index other than PyPI, which uv does not know."""
    config = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False).stdout
    return re.search(r"\.(index-url|no-index)=", config) is not None


def _install_by_uv(pip: tuple[str, ...]) -> bool:
    pinned = re.search(r"^uv==.*\n(?: .*\n)*", LOCK.read_text(), re.MULTILINE)
    if pinned is None:
        return False
    only_uv = VENV / "uv.txt"
    only_uv.write_text(pinned[0])
    _must("install uv", *pip, "install", "--quiet", *AS_LOCKED, *WHEELS_ONLY, "--requirement", str(only_uv))
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.expanduser raises if a user has no home
    cache = () if os.access(home, os.W_OK) else ("--no-cache",)
    refused = _run(
        *(str(VENV / "bin/uv"), "pip", "install", "--quiet", "--system-certs", "--python", str(PYTHON), *cache),
        *(*AS_LOCKED, "--no-build", "--requirement", str(LOCK)),
    )
    if refused is not None:
        _say(f"uv could not install the packages; pip continues, which takes longer. uv's output:\n{refused}")
    return refused is None


def _must(what: str, *command: str) -> None:
    output = _run(*command)
    if output is not None:
        sys.exit(f"{output}\nCould not {what}: see above. The next `make` starts over.")


def _run(*command: str) -> str | None:
    """Run a command, and count the seconds on a terminal. Return None if it succeeded, else its output."""
    began = time.monotonic()
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            while process.poll() is None:
                time.sleep(0.05)
                if sys.stderr.isatty():
                    print(f"\r{time.monotonic() - began:3.0f} s\r", end="", file=sys.stderr, flush=True)
        except BaseException:
            process.terminate()
            raise
        if process.returncode == 0:
            return None
        output.seek(0)
        return output.read().strip()


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _end(signum: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signum)


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    try:
        main()
    except PermissionError as error:
        sys.exit(f"{error}. This folder needs your write access, and a file system that is not mounted noexec.")
    except KeyboardInterrupt:
        sys.exit("Interrupted: .venv is incomplete; the next `make` starts over.")
