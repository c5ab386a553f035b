"""What is compared: the service as production runs it, its peers, and the floor below them."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs
import click
import httpx
import psutil  # type: ignore[import-untyped]  # it ships no types

from tests.processes import environment, free_port

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# The peers' packages; not in git.
INSTALLED = ROOT / ".dev" / "benchmarks"
PATIENCE = 20.0  # seconds


@attrs.frozen
class Contestant:
    """A server: what tables call it, and how it is started."""

    name: str
    command: tuple[str, ...]
    cwd: Path = ROOT


# With what production installs, and no more.
SERVICE = Contestant("the service", (str(INSTALLED / "service" / "bin" / "python"), "-m", "service", "serve"))


def contestants(interpreter: str) -> list[Contestant]:
    """Install what the service and its peers need, once, and return all that can run here; the service comes first.

    Python's are run by `interpreter`, a path or a name.
    """
    _virtual_environment(ROOT / "requirements.txt", interpreter, INSTALLED / "service")
    _virtual_environment(HERE / "requirements.txt", interpreter, INSTALLED / "venv")
    python = INSTALLED / "venv" / "bin" / "python"
    found = [
        SERVICE,
        _asgi("FastAPI, SQLAlchemy", python, "fastapi_sqlalchemy"),
        _asgi("Litestar, advanced-alchemy", python, "litestar_alchemy"),
        _asgi("FastAPI, asyncpg", python, "fastapi_asyncpg"),
    ]
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm and node:
        folder = INSTALLED / "fastify"
        shutil.copytree(HERE / "peers" / "fastify", folder, dirs_exist_ok=True)
        _once(folder / "package-lock.json", [npm, "ci", "--silent", "--no-audit", "--no-fund"])
        found.append(Contestant("Node: Fastify, pg", (node, "server.js"), folder))
    else:
        click.echo("Without Fastify: there is no node and npm here.", err=True)
    return [*found, _asgi("bare ASGI, asyncpg", python, "bare_asgi")]


def _asgi(name: str, python: Path, module: str) -> Contestant:
    uvicorn = ("-m", "uvicorn", "--no-access-log", "--log-level", "warning", "--app-dir", str(HERE / "peers"))
    return Contestant(name, (str(python), *uvicorn, f"{module}:app"))


def _virtual_environment(lock: Path, interpreter: str, folder: Path) -> None:
    """Make a virtual environment of `interpreter` in `folder`, with what `lock` names."""
    uv = str(Path(sys.executable).with_name("uv"))
    _once(
        lock,
        [uv, "venv", "--quiet", "--clear", "--python", interpreter, str(folder)],
        [uv, "pip", "install", "--quiet", "--require-hashes", "--python", str(folder), "-r", lock.name],
    )


def _once(lock: Path, *commands: list[str]) -> None:
    """Run the commands in the folder of `lock`, unless they have been run for what it says now."""
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


@attrs.frozen
class Server:
    """A contestant that runs."""

    contestant: Contestant
    process: psutil.Popen
    port: int
    seconds_to_start: float

    @property
    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def cpu(self) -> float:
        """Return the seconds of processor time that it has used, all its processes together."""
        return float(sum(times.user + times.system for times in (process.cpu_times() for process in self._family)))

    def memory(self) -> float:
        """Return the resident memory of all its processes in MB."""
        return float(sum(process.memory_info().rss for process in self._family)) / 1e6

    def client(self) -> httpx.Client:
        """Return a client of it."""
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
        process = psutil.Popen(  # ours
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
        yield Server(contestant, process, port, time.monotonic() - began)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _lives(client: httpx.Client, port: int) -> bool:
    try:
        return client.get(f"http://127.0.0.1:{port}/health/live").is_success
    except httpx.TransportError:
        return False


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Start processes on one core meanwhile; None, or another system than Linux, leaves them where they are."""
    if core is None or sys.platform != "linux":
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
