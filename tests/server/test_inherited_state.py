"""Commands started by a program that passes on a rare state: closed standard streams, an ignored signal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, Running, command, environment, is_alive, serve_settings, wait_until
from tests.support.supervisors import STARTED

pytestmark = pytest.mark.slow  # starts processes

CLOSED = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
IGNORED = ["env", "--ignore-signal=CHLD"]


@pytest.mark.parametrize("workers", [1, 2])
def test_no_socket_takes_the_place_of_a_closed_stream(own_database_url: str, tmp_path: Path, workers: int) -> None:
    """The log would be written to it."""
    settings = serve_settings(own_database_url, LOG_FORMAT="console", WEB_CONCURRENCY=str(workers))
    with Running("serve", tmp_path, settings, program=[*CLOSED, *command("serve")]) as served:
        served.wait_until_ready()

        tree = served.process_tree()
        targets = [Path(f"/proc/{each.pid}/fd/{stream}").readlink() for each in tree for stream in range(3)]

        assert targets == [Path(os.devnull)] * 3 * len(tree)


def test_dead_worker_is_noticed_though_sigchld_was_ignored(own_database_url: str, tmp_path: Path) -> None:
    settings = serve_settings(own_database_url, WEB_CONCURRENCY="2")
    with Running("serve", tmp_path, settings, program=[*IGNORED, *command("serve")]) as served:
        wait_until(lambda: served.stdout.count(STARTED) == 2, "both workers serve")
        worker = served.workers()[0]

        worker.kill()

        wait_until(lambda: served.stdout.count(STARTED) == 3, "another one serves")
        assert not is_alive(worker)
        assert served.end() == 0


@pytest.mark.parametrize(
    "program", [command("sql", "explain"), [sys.executable, "-m", "pytest", "-n0", "tests/migrate/test_files.py"]]
)
def test_embedded_postgresql_is_created_though_sigchld_was_ignored(program: list[str]) -> None:
    done = subprocess.run(
        [*IGNORED, *program], env=environment({}), capture_output=True, text=True, timeout=PATIENCE, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
