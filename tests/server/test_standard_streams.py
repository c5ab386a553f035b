"""`serve` started without standard streams."""

import os
from pathlib import Path

import pytest

from tests.support.processes import Running, command, serve_settings

pytestmark = pytest.mark.slow  # starts processes

CLOSED = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]


@pytest.mark.parametrize("workers", [1, 2])
def test_no_socket_takes_the_place_of_a_closed_stream(own_database_url: str, tmp_path: Path, workers: int) -> None:
    """The log would be written to it."""
    settings = serve_settings(own_database_url, LOG_FORMAT="console", WEB_CONCURRENCY=str(workers))
    with Running("serve", tmp_path, settings, program=[*CLOSED, *command("serve")]) as served:
        served.wait_until_ready()

        tree = served.process_tree()
        targets = [Path(f"/proc/{each.pid}/fd/{stream}").readlink() for each in tree for stream in range(3)]

        assert targets == [Path(os.devnull)] * 3 * len(tree)
