"""The container image, built from the Dockerfile and run without a container engine: by buildah, unshare and chroot.

The base image in FROM comes from a registry and is not tested here. A Debian of the same release replaces it, without
the files that slim images lack, and with Debian's Python at the same paths. Debian's Python keeps its bytecode, so the
stand-in is no smaller than the real base image.
"""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from tests.support.processes import ROOT

FROM = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
PYTHON = (ROOT / ".python-version").read_text().strip()
RELEASE = FROM[0].rpartition("-")[2]
AS_ROOT = () if os.geteuid() == 0 else ("sudo", "-n")
# Kept between runs: it takes a minute to make.
BASE = Path(tempfile.gettempdir()) / f"debian-{RELEASE}-slim-python{PYTHON}.tar"
# https://github.com/debuerreotype/debuerreotype, scripts/.slimify-excludes; the package lists are removed as well.
NOT_IN_SLIM = [f"usr/share/{name}" for name in ("doc", "info", "linda", "lintian", "locale", "man")]
NOT_IN_SLIM += ["var/lib/apt/lists", "var/cache/apt", "var/log"]
# Like an engine's --read-only: nothing is writable; /proc and /dev exist.
READ_ONLY = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
exec chroot --userspec="$2" --groups= "$1" "${@:3}"
"""
# An ordinary user cannot send signals to processes started by sudo.
RELAY = """
"$@" &
child=$!
trap "sudo -n kill -TERM $child" TERM
wait $child
status=$?
while [ $status -gt 128 ] && sudo -n kill -0 $child 2>/dev/null; do
    wait $child
    status=$?
done
exit $status
"""


def _run(*command: str | Path) -> str:
    done = subprocess.run([*AS_ROOT, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@attrs.frozen
class Image:
    """An image: the path of its files, and its configuration."""

    root: Path
    config: Mapping[str, Any]

    def command(self, arguments: list[str], settings: Mapping[str, str]) -> list[str]:
        """Return the command line that runs `arguments` in the image as its user, with nothing writable."""
        variables = {**dict(each.split("=", 1) for each in self.config["Env"]), **settings}
        user = f"{self.config['User']}:{self.config['User']}"
        environment = ["env", "-i", f"--chdir={self.config['WorkingDir']}"]
        environment += [f"{name}={value}" for name, value in variables.items()]
        shell = ["unshare", "--mount", "bash", "-c", READ_ONLY, "bash", str(self.root), user]
        relay = ["bash", "-c", RELAY, "bash", *AS_ROOT] if AS_ROOT else []
        return [*relay, *shell, *environment, *arguments]

    def run(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run `arguments` in the image to completion."""
        command = self.command([*arguments], settings)
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


@contextmanager
def built(*options: str) -> Iterator[Image]:
    """Build the image with options of `buildah bud`; it is removed after the context."""
    _make_base()
    folder = Path(tempfile.mkdtemp(prefix="image-"))
    storage = ("--root", folder / "storage", "--runroot", folder / "run", "--storage-driver", "vfs")
    build = ("buildah", *storage, "bud", "--isolation", "chroot", "--format", "docker")
    try:
        context = folder / "context"
        context.mkdir()
        (context / "Containerfile").write_text("FROM scratch\nADD base.tar /\n")
        _run("ln", BASE, context / "base.tar")
        _run(*build, "--tag", f"docker.io/library/{FROM[0]}", context)
        _run(*build, "--pull-never", *_pip_configuration(), *options, "--tag", "service", ROOT)
        config = json.loads(_run("buildah", *storage, "inspect", "--type", "image", "service"))["Docker"]["config"]
        container = _run("buildah", *storage, "from", "--pull-never", "service").strip()
        yield Image(Path(_run("buildah", *storage, "mount", container).strip()), config)
    finally:
        _run("rm", "-rf", folder)


def _make_base() -> None:
    if BASE.exists():
        return
    folder = Path(tempfile.mkdtemp(prefix="debian-"))
    root = folder / "root"
    packages = f"ca-certificates,netbase,tzdata,python{PYTHON},python{PYTHON}-venv,python3-pip"
    try:
        _run("debootstrap", "--variant=minbase", f"--include={packages}", RELEASE, root)
        _run("ln", "-s", f"/usr/bin/python{PYTHON}", root / "usr/local/bin/python")
        _run("ln", "-s", "/usr/bin/pip3", root / "usr/local/bin/pip")
        _run("find", root / "usr/lib/python3", "-name", "__pycache__", "-prune", "-exec", "rm", "-r", "{}", "+")
        _run("rm", "-rf", *(root / name for name in NOT_IN_SLIM))
        _run("mkdir", "-p", root / "var/cache/apt/archives/partial", root / "var/log/apt")
        _run("tar", "-C", root, "-cf", folder / "base.tar", ".")
        _run("mv", folder / "base.tar", BASE)
    finally:
        _run("rm", "-rf", folder)


def _pip_configuration() -> list[str]:
    """Return options that give the build this machine's pip settings: its index, and files that they name."""
    options = []
    # https://pip.pypa.io/en/stable/topics/configuration/#location
    for path, inside in {
        Path("/etc/pip.conf"): "/etc/pip.conf",
        Path.home() / ".pip/pip.conf": "/root/.pip/pip.conf",
        Path.home() / ".config/pip/pip.conf": "/root/.config/pip/pip.conf",
    }.items():
        if path.exists():
            named = re.findall(r"(?:file://|\s)(/[^\s,]+?)(?:/simple)?(?=\s)", path.read_text() + "\n")
            options += [f"--volume={name}:{name}:ro" for name in named if Path(name).exists()]
            options.append(f"--volume={path}:{inside}:ro")
    return list(dict.fromkeys(options))
