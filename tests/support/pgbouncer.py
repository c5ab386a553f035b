"""PgBouncer from Debian's packages in front of PostgreSQL."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.support.postgres import Postgres, as_owner, create_cluster
from tests.support.processes import free_port, wait_until

# As in docs/scaling.md.
CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={target}

[pgbouncer]
listen_addr = {address}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 8
max_client_conn = 200
query_wait_timeout = 2
server_login_retry = 1
"""
PREPARES = "max_prepared_statements = 200\n"
# The service's settings, also from docs/scaling.md.
SETTINGS = {"DATABASE_STATEMENT_TIMEOUT": "0", "DATABASE_LOCK_TIMEOUT": "0"}
BEFORE_1_21 = {"DATABASE_STATEMENT_CACHE": "0"}


class PgBouncer:
    """A PgBouncer that runs until the end of the context."""

    def __init__(
        self, program: str, postgres: Postgres, folder: Path, address: str = "127.0.0.1", *, mode: str = "transaction"
    ) -> None:
        folder.mkdir()
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        major, minor = re.findall(r"\d+", said)[:2]
        self.name = f"PgBouncer {major}.{minor}"
        self.prepares = (int(major), int(minor)) >= (1, 21)
        self.settings: Mapping[str, str] = SETTINGS if self.prepares else SETTINGS | BEFORE_1_21
        self.port = free_port()
        self.url = f"postgresql://{address}:{self.port}/postgres"
        self._program = program
        self._owner = postgres.data
        self._file = folder / "pgbouncer.ini"
        text = CONFIGURATION.format(target=postgres.port, address=address, port=self.port, mode=mode)
        text += PREPARES if self.prepares else ""
        # auth_type any: every client is this user.
        self._file.write_text(text.replace("* =", "postgres = user=postgres", 1))
        for path in (folder, self._file):
            shutil.chown(path, postgres.data.stat().st_uid, postgres.data.stat().st_gid)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        self._process = subprocess.Popen(as_owner(self._owner, self._program, "-q", self._file))
        wait_until(self._serves, "PgBouncer serves")

    def kill(self) -> None:
        """Kill it at once."""
        self._process.kill()
        self._process.wait()

    def _serves(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def prepared_statements(self) -> int:
        """Return the number of prepared statements on its connections to PostgreSQL."""
        with psycopg.connect(self.url.replace("/postgres", "/pgbouncer"), autocommit=True) as console:
            rows = console.cursor(row_factory=dict_row).execute("show servers").fetchall()
        return sum(row.get("prepared_statements", 0) for row in rows)  # 1.18 has no such column


@pytest.fixture(scope="module")
def postgres_for_poolers() -> Iterator[Postgres]:
    """Return a server that PgBouncer can reach."""
    with tempfile.TemporaryDirectory(prefix="pooled-") as name:
        Path(name).chmod(0o755)
        postgres = Postgres(Path(name) / "data", fsync="off")
        create_cluster(postgres.data)
        postgres.start()
        yield postgres
        postgres.stop()
