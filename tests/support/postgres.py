"""Real PostgreSQL servers on loopback that tests kill, freeze, promote and fill up."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it ships no types
import psycopg

from service.embedded import as_ordinary_user, find_binaries
from tests.support.processes import free_port, wait_until

# PostgreSQL's defaults, durability included.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "max_wal_size": "2GB",
}


def as_owner(folder: Path, *command: str | Path) -> list[str]:
    """Return a command line that runs `command` as the owner of `folder` and ends with this process."""
    prefix = as_ordinary_user(folder) if os.geteuid() == 0 else ["setpriv"]
    return [*prefix, "--pdeathsig=KILL", *map(str, command)]


def create_cluster(data: Path, *options: str) -> None:
    """Create a cluster in the folder `data`."""
    initdb = find_binaries() / "initdb"
    arguments = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", *options, "-D", str(data)]
    subprocess.run(as_owner(data, initdb, *arguments), check=True, stdout=subprocess.DEVNULL)


class Postgres:
    """A server on the cluster `data`, with a fixed port."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._settings = SETTINGS | settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start the server; return when it accepted connections (monotonic seconds)."""
        deadline = time.monotonic() + 30
        while not self._started():  # a killed server's processes keep its memory for a moment
            assert time.monotonic() < deadline, self.log[-2000:]
            time.sleep(0.05)
        return time.monotonic()

    def _started(self) -> bool:
        options = [f"--{name}={value}" for name, value in {**self._settings, "port": str(self.port)}.items()]
        command = as_owner(self.data, find_binaries() / "postgres", "-D", self.data, *options)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while self._process.poll() is None:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url, connect_timeout=2).close()
                return True
            time.sleep(0.01)
        return False

    @property
    def log_file(self) -> Path:
        """The server's log file."""
        return self.data.with_suffix(".log")

    @property
    def log(self) -> str:
        """The server's log so far."""
        return self.log_file.read_text(errors="replace")

    def stop(self, by: signal.Signals = signal.SIGINT) -> None:
        """End the server: orderly (SIGINT), at once (SIGQUIT), or by killing its main process (SIGKILL)."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(by)
            self._process.wait(30)

    def freeze(self) -> None:
        """Stop (SIGSTOP) every process of the server."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue them."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process
        first = psutil.Process(self._process.pid)
        for process in [first, *first.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill_one_backend(self) -> None:
        """Kill -9 the backend of one of the service's connections."""
        query = "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
        os.kill(self.ask(query), signal.SIGKILL)

    def ask(self, query: str, parameters: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - any value
        """Run a statement on its own connection; return the first value of the first row, if there is one."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(query, parameters)
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def replica(self, data: Path) -> "Postgres":
        """Start a replica of this server, at another port."""
        programs = find_binaries()
        # The copy's folder gets the owner of this server's folder.
        command = as_owner(self.data, programs / "pg_basebackup", "-d", self.url, "-D", data, "-R", "-X", "stream")
        subprocess.run([*command, "--checkpoint=fast"], check=True, stdout=subprocess.DEVNULL)
        return Postgres(data, **{name: value for name, value in self._settings.items() if name not in SETTINGS})

    def promote(self) -> float:
        """Promote a replica; return when it accepted writes (monotonic seconds)."""
        assert self.ask("select pg_promote(true, 30)")
        return time.monotonic()

    def wait_for_replica(self) -> None:
        """Wait until a replica follows, and commits wait for it if they are synchronous."""
        wait_until(
            lambda: self.ask("select count(*) from pg_stat_replication where state = 'streaming'") == 1, "it follows"
        )
