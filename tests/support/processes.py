"""The commands as real processes, used over sockets and ended by signals."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Protocol, Self

import httpx
import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.support import api
from tests.support.accounts import connect

ROOT = Path(__file__).resolve().parents[2]
# Variables that processes inherit from the test run: search paths, settings of coverage, and a server.
INHERITED = ("HOME", "PATH", "TMPDIR", "COVERAGE_PROCESS_CONFIG", "SCRATCH_DATABASE_URL")
SECRET_KEY = "a key that is used by nothing but tests"
PATIENCE = 20  # seconds
Settings = Mapping[str, str]
NONE: Settings = MappingProxyType({})


def wait_until(condition: Callable[[], bool], hope: str, seconds: float = PATIENCE) -> None:
    """Wait until `condition` is true; `hope` describes it in the failure message."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {hope}"
        time.sleep(0.02)


def free_port() -> int:
    """Return an unused port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def command(*arguments: str) -> list[str]:
    """Return the command line of a command of the service."""
    return [sys.executable, "-m", "service", *arguments]


def environment(settings: Settings) -> dict[str, str]:
    """Return an environment with `settings`, without the settings of the test run."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | dict(settings)


def serve_settings(database_url: str, **settings: str) -> Settings:
    """Return settings for `serve` on the loopback interface."""
    # Tests do not wait for a server to drain, unless they are about that.
    fixed = {"DATABASE_URL": database_url, "SECRET_KEY": SECRET_KEY, "HOST": "127.0.0.1", "DRAIN_SECONDS": "0"}
    return {**fixed, **api.SETTINGS, **settings}


def run(*arguments: str, settings: Settings = NONE, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command to completion."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def check_out(folder: Path) -> Path:
    """Copy the files that the commands need, so that a test can edit them."""
    for part in ("service", "sql", "migrations"):
        shutil.copytree(ROOT / part, folder / part)
    return folder


def is_worker(process: psutil.Process) -> bool:
    """Return whether a child of `serve` or `dev` runs and is not Python's resource tracker."""
    try:
        return is_alive(process) and "resource_tracker" not in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False  # it has ended meanwhile


def is_alive(process: psutil.Process) -> bool:
    """Return whether the process still runs."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Running:
    """`serve` or `dev`, running on its own port until the end of the context at the latest."""

    def __init__(
        self, name: str, output: Path, settings: Settings, cwd: Path = ROOT, program: Sequence[str] = ()
    ) -> None:
        """Start the command `name`, or a `program` that starts it; its output goes to files in the folder `output`."""
        settings = {"PORT": str(free_port()), **settings}
        self.port = int(settings["PORT"])
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = connect(self.url)
        self.output = output
        with (output / "stdout").open("w") as stdout, (output / "stderr").open("w") as stderr:
            self.process = subprocess.Popen(
                program or command(name),
                cwd=cwd,
                env=environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,  # its own process group, like a job of a terminal
            )

    @property
    def stdout(self) -> str:
        """Its standard output so far."""
        return (self.output / "stdout").read_text()

    @property
    def stderr(self) -> str:
        """Its standard error so far."""
        return (self.output / "stderr").read_text()

    def status(self, path: str) -> int:
        """Return the status of its response, or 0 if there is none."""
        try:
            return self.client.get(path).status_code
        except httpx.TransportError:
            return 0

    def wait_until_ready(self, status: int = 200) -> None:
        """Wait until readiness returns `status`."""

        def answered() -> bool:
            assert self.process.poll() is None, f"it ended:\n{self.stdout}{self.stderr}"
            return self.status("/health/ready") == status

        wait_until(answered, f"GET /health/ready answers {status}")

    def process_tree(self) -> list[psutil.Process]:
        """Return the process and all its descendants."""
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]

    def workers(self) -> list[psutil.Process]:
        """Return its running children, except Python's resource tracker."""
        return [process for process in self.process_tree()[1:] if is_worker(process)]

    def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end and return the exit status. SIGINT goes to the process group, like Ctrl-C."""
        if by == signal.SIGINT:
            os.killpg(self.process.pid, by)
        else:
            self.process.send_signal(by)
        return self.process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        try:
            self.end()
        finally:
            self.process.kill()
            self.process.wait()


def running(database_url: str, folder: Path, **settings: str) -> Running:
    """Start `serve` with `settings`."""
    return Running("serve", folder, serve_settings(database_url, **settings), ROOT)


def wait_for_workers(served: Running, workers: int) -> None:
    """Wait until each of `workers` has answered."""
    started = "Application startup complete."
    # Other tests use the processors too.
    wait_until(lambda: served.stdout.count(started) == workers, "every worker serves", seconds=60)
    served.wait_until_ready()


Serve = Callable[..., Running]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the files that the commands need, which the test can edit."""
    return check_out(tmp_path / "checkout")


class Start(Protocol):
    """Starts `serve` or `dev`."""

    def __call__(self, name: str, settings: Settings = NONE, cwd: Path = ROOT) -> Running: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Yield a function that starts serving commands; those still running are ended after the test."""
    with ExitStack() as stack:

        def start(name: str, settings: Settings = NONE, cwd: Path = ROOT) -> Running:
            output = Path(tempfile.mkdtemp(dir=tmp_path))
            return stack.enter_context(Running(name, output, settings, cwd))

        yield start


@pytest.fixture
def serve(start: Start) -> Serve:
    """Return a function that starts the service on a database."""

    def serve(url: str, *, ready: int = 200, cwd: Path = ROOT, **settings: str) -> Running:
        served = start("serve", serve_settings(url, **settings), cwd)
        served.wait_until_ready(ready)
        return served

    return serve


@pytest.fixture(scope="session")
def served(served_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return the service as in production, shared by this worker's tests; each test creates its own accounts."""
    # Heroku's Python buildpack sets FORWARDED_ALLOW_IPS, which uvicorn would obey.
    with running(served_database_url, tmp_path_factory.mktemp("served"), FORWARDED_ALLOW_IPS="*") as served:
        served.wait_until_ready()
        yield served
