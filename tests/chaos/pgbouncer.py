"""PgBouncer from Debian's packages, transaction pooling, in front of a PostgreSQL."""

import shutil
import subprocess
from pathlib import Path
from typing import Self

import psycopg

from tests.postgres import Postgres, as_owner
from tests.processes import free_port, until

PROGRAM = "/usr/sbin/pgbouncer"
# As docs/scaling.md has it.
CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={target}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 8
max_client_conn = 200
query_wait_timeout = 2
server_login_retry = 1
"""


class PgBouncer:
    """Runs while the context lasts."""

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        self.port = free_port()
        self.url = f"postgresql://127.0.0.1:{self.port}/postgres"
        self._owner = postgres.data
        self._file = folder / "pgbouncer.ini"
        # auth_type any: whoever comes is this user.
        text = CONFIGURATION.format(target=postgres.port, port=self.port)
        self._file.write_text(text.replace("* =", "postgres = user=postgres", 1))
        for path in (folder, self._file):
            shutil.chown(path, postgres.data.stat().st_uid, postgres.data.stat().st_gid)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(as_owner(self._owner, PROGRAM, "-q", self._file))
        until(self._serves, "PgBouncer serves")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _serves(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
