"""The contestants: the service as in production, its peers, and bare ASGI as the lower bound."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
import click
import httpx
import psutil  # type: ignore[import-untyped]  # it ships no types

from tests.support.processes import environment, free_port

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# The peers' packages; not in git.
INSTALLED = ROOT / ".dev" / "benchmarks"
PATIENCE = 20.0  # seconds


@attrs.frozen
class Contestant:
    """A server: its name in tables, and how to start it."""

    name: str
    command: tuple[str, ...]
    cwd: Path = ROOT


# With only the packages of the image.
SERVICE = Contestant("the service", (str(INSTALLED / "service" / "bin" / "python"), "-m", "service", "serve"))


def contestants(interpreter: str, only: Sequence[str]) -> list[Contestant]:
    """Install, once, what the service and its peers need, and return all that can run here; the service comes first.

    With `only`, no peers but those with one of these words in their names. Python's are run by `interpreter`, a path or
    a name.
    """
    _image_environment(ROOT, interpreter)
    python = INSTALLED / "venv" / "bin" / "python"
    peers = [
        _asgi("FastAPI, SQLAlchemy", python, "fastapi_sqlalchemy"),
        _asgi("Litestar, advanced-alchemy", python, "litestar_alchemy"),
        _asgi("FastAPI, asyncpg", python, "fastapi_asyncpg"),
        Contestant("Node: Fastify, pg", (shutil.which("node") or "", "server.js"), INSTALLED / "fastify"),
        _asgi("bare ASGI, asyncpg", python, "bare_asgi"),
    ]
    chosen = [peer for peer in peers if not only or any(word in peer.name for word in only)]
    if any(peer.command[0] == str(python) for peer in chosen):
        _virtual_environment(HERE / "requirements.txt", interpreter, INSTALLED / "venv")
    npm = shutil.which("npm")
    for peer in [peer for peer in chosen if peer.cwd != ROOT]:
        if npm and peer.command[0]:
            shutil.copytree(HERE / "peers" / "fastify", peer.cwd, dirs_exist_ok=True)
            _once(peer.cwd / "package-lock.json", [npm, "ci", "--silent", "--no-audit", "--no-fund"])
        else:
            click.echo("Without Fastify: there is no node and npm here.", err=True)
            chosen.remove(peer)
    return [SERVICE, *chosen]


def _asgi(name: str, python: Path, module: str) -> Contestant:
    uvicorn = ("-m", "uvicorn", "--no-access-log", "--log-level", "warning", "--app-dir", str(HERE / "peers"))
    return Contestant(name, (str(python), *uvicorn, f"{module}:app"))


@contextmanager
def earlier(revision: str, interpreter: str) -> Iterator[Contestant]:
    """Check out an earlier revision of the project in a temporary folder, with what its image has.

    Raises click.ClickException if git does not know `revision`.
    """
    commit = _git("rev-parse", "--verify", "--quiet", "--short", "--end-of-options", f"{revision}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        tree = Path(folder) / "tree"
        _git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            python = _image_environment(tree, interpreter)
            yield Contestant(f"the service at {commit}", (str(python), "-m", "service", "serve"), tree)
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> str:
    """Run git in this repository and return its output. Raises click.ClickException if it fails."""
    done = subprocess.run(
        ["git", *arguments],  # noqa: S607 - the developer's git
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sentence = done.stderr.strip() or "no such revision"
        raise click.ClickException(f"git {' '.join(arguments)}: {sentence}")
    return done.stdout.strip()


def _image_environment(tree: Path, interpreter: str) -> Path:
    """Install the packages of the image of the project in `tree`, and return the Python to run it with."""
    lock = hashlib.sha256((tree / "requirements.txt").read_bytes()).hexdigest()[:16]
    folder = INSTALLED / ("service" if tree == ROOT else f"service-{lock}")
    left_out = re.findall(r"uninstall --yes (.*?) \\", (tree / "Dockerfile").read_text())[0].split()
    _virtual_environment(tree / "requirements.txt", interpreter, folder, without=left_out)
    return folder / "bin" / "python"


def _virtual_environment(lock: Path, interpreter: str, folder: Path, without: Sequence[str] = ()) -> None:
    """Create a virtual environment of `interpreter` in `folder` from `lock`, `without` some packages."""
    uv = str(Path(sys.executable).with_name("uv"))
    remove = [[uv, "pip", "uninstall", "--quiet", "--python", str(folder), *without]] if without else []
    _once(
        lock,
        [uv, "venv", "--quiet", "--clear", "--python", interpreter, str(folder)],
        [uv, "pip", "install", "--quiet", "--require-hashes", "--python", str(folder), "-r", lock.name],
        *remove,
    )


def _once(lock: Path, *commands: list[str]) -> None:
    """Run the commands in the folder of `lock`, unless they have run for its present contents."""
    what = lock.read_bytes() + repr(commands).encode()
    done = INSTALLED / f"{lock.name}.{hashlib.sha256(what).hexdigest()[:16]}"
    if done.exists():
        return
    INSTALLED.mkdir(parents=True, exist_ok=True)
    click.echo(f"Installing what {lock.name} names …", err=True)
    for command in commands:
        try:
            subprocess.run(command, cwd=lock.parent, check=True)
        except subprocess.CalledProcessError:
            raise click.ClickException(f"Could not install what {lock} names: see above") from None
    done.touch()


def seconds_to_import() -> float:
    """Return the CPU time of importing the service, the minimum of nine runs."""
    times = []
    for _ in range(9):
        before = os.times()
        subprocess.run([SERVICE.command[0], "-c", "import service.app"], cwd=ROOT, check=True)
        after = os.times()
        times.append(sum(after[2:4]) - sum(before[2:4]))
    return min(times)


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu(process: psutil.Process) -> float:
    """Return the CPU seconds of `process` and all its children, ended ones included."""
    ended = process.cpu_times()
    seconds = ended.children_user + ended.children_system
    for each in _family(process):
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            seconds += times.user + times.system
    return float(seconds)


def _postgres(settings: Mapping[str, str]) -> psutil.Process | None:
    """Return PostgreSQL's process, by the pid file next to its socket."""
    lock = Path(settings["PGHOST"], f".s.PGSQL.{settings['PGPORT']}.lock")
    return psutil.Process(int(lock.read_text().split()[0])) if lock.exists() else None


@attrs.frozen
class Server:
    """A running contestant."""

    contestant: Contestant
    process: psutil.Popen
    port: int
    seconds_to_start: float
    postgres: psutil.Process | None

    def cpu(self) -> tuple[float, float]:
        """Return the CPU seconds used by the server and by PostgreSQL, or 0 if unknown."""
        return _cpu(self.process), _cpu(self.postgres) if self.postgres else 0.0

    def memory(self) -> float:
        """Return the resident memory of all its processes in MB."""
        return float(sum(process.memory_info().rss for process in _family(self.process))) / 1e6

    def client(self) -> httpx.Client:
        """Return a client of the server."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=PATIENCE)


@contextmanager
def running(contestant: Contestant, settings: Mapping[str, str], core: int | None = None) -> Iterator[Server]:
    """Start a contestant, on one `core` alone if the system can do that, and end it with the context.

    Raises click.ClickException if it does not answer.
    """
    port = free_port()
    INSTALLED.mkdir(parents=True, exist_ok=True)
    log = INSTALLED / f"{contestant.name}.log"
    began = time.monotonic()
    with log.open("w") as output, pinned(core):
        process = psutil.Popen(  # the service's
            contestant.command,
            cwd=contestant.cwd,
            env=environment({**settings, "PORT": str(port), "UVICORN_PORT": str(port)}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
            while not _lives(client, port):
                if process.poll() is not None or time.monotonic() > began + PATIENCE:
                    raise click.ClickException(
                        f"{contestant.name} does not start; it says in {log}:\n{log.read_text()}"
                    )
                time.sleep(0.005)
        yield Server(contestant, process, port, time.monotonic() - began, _postgres(settings))
    finally:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
        process.wait(PATIENCE)


def _lives(client: httpx.Client, port: int) -> bool:
    try:
        return client.get(f"http://127.0.0.1:{port}/health/live").is_success
    except httpx.TransportError:
        return False


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Start processes on one core within the context; without effect for None, or if the system is not Linux."""
    if core is None or sys.platform != "linux":
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
