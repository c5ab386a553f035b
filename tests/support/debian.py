"""Debian's PostgreSQL, for features that the embedded one lacks: extensions, and passwords over TCP."""

import os
import pwd
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.support.processes import PATIENCE, free_port

# The newest one installed; without any, a path that does not exist.
BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/lib/postgresql/bin"))
POSTGRES = str(BINARIES / "postgres")
PASSWORD = "the password of the superuser"
# Self-signed, as on Heroku.
CERTIFICATE = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=db"]
CERTIFICATE += ["-keyout", "key", "-out", "crt"]


def unprivileged() -> list[str]:
    """Return the prefix of a command that must not run as root and ends with this process in any case."""
    command = ["setpriv", "--pdeathsig=QUIT"]
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        command += [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    return command


@contextmanager
def unprivileged_folder() -> Iterator[Path]:
    """Yield a folder that such a command can write to."""
    with tempfile.TemporaryDirectory(prefix="debian-") as name:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(name, nobody.pw_uid, nobody.pw_gid)
        yield Path(name)


@contextmanager
def debian_postgres(settings: Mapping[str, str]) -> Iterator[str]:
    """Run a server on the loopback interface with passwords and TLS; yield the URL of its superuser."""
    command, port = unprivileged(), free_port()
    options = {"listen_addresses": "127.0.0.1", "port": str(port), "fsync": "off"}
    options |= {"ssl": "on", "ssl_cert_file": "../crt", "ssl_key_file": "../key", **settings}
    with unprivileged_folder() as folder:
        (folder / "password").write_text(PASSWORD)
        initdb = [str(BINARIES / "initdb"), "--username=postgres", "--auth=scram-sha-256", "--no-sync"]
        files = [f"--pwfile={folder / 'password'}", f"--pgdata={folder / 'data'}", "--encoding=UTF8", "--locale=C"]
        for making in ([*initdb, *files], CERTIFICATE):
            subprocess.run([*command, *making], check=True, capture_output=True, cwd=folder)
        with (folder / "log").open("w") as log:
            given = [f"--{name}={value}" for name, value in options.items()]
            server = subprocess.Popen(
                [*command, POSTGRES, "-D", folder / "data", "-k", folder, *given], cwd=folder, stdout=log, stderr=log
            )
        try:
            url = f"postgresql://postgres:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/postgres"
            wait_until_it_answers(url, server, folder / "log")
            yield url
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(PATIENCE)


def wait_until_it_answers(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a server with PostgreSQL's protocol accepts a log-in."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return
