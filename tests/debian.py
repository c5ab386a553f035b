"""Debian's PostgreSQL, for what the embedded one lacks: extensions, and passwords over TCP."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.processes import PATIENCE, free_port

# The newest that is installed; a name that is not there where none is.
BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/lib/postgresql/bin"))
POSTGRES = str(BINARIES / "postgres")
PASSWORD = "the password of the superuser"
# Made by itself, as Heroku's are.
CERTIFICATE = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=db"]
CERTIFICATE += ["-keyout", "key", "-out", "crt"]


@contextmanager
def debian_postgres(settings: Mapping[str, str]) -> Iterator[str]:
    """Run a server on the loopback interface, with passwords and TLS; give the URL of its superuser."""
    folder = Path(tempfile.mkdtemp(prefix="debian-postgres-"))
    data, port = folder / "data", free_port()
    # It ends with this process, however that ends. root must not run it.
    command = ["setpriv", "--pdeathsig=QUIT"]
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        command += [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    options = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": str(folder)}
    options |= {"fsync": "off", "ssl": "on", "ssl_cert_file": "../crt", "ssl_key_file": "../key", **settings}
    try:
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        initdb = [str(BINARIES / "initdb"), "--username=postgres", "--auth=scram-sha-256", "--no-sync"]
        files = [f"--pwfile={folder / 'password'}", f"--pgdata={data}", "--encoding=UTF8", "--locale=C"]
        subprocess.run([*command, *initdb, *files], check=True, capture_output=True, cwd=folder)
        subprocess.run([*command, *CERTIFICATE], check=True, capture_output=True, cwd=folder)
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(
                [*command, POSTGRES, "-D", data, *(f"--{name}={value}" for name, value in options.items())],
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        try:
            url = f"postgresql://postgres:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/postgres"
            _wait_until_it_answers(url, server, folder / "log")
            yield url
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(PATIENCE)
    finally:
        shutil.rmtree(folder)


def _wait_until_it_answers(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
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
