"""``make bench ARGS="--against REV"``: an earlier revision of the project runs beside this one."""

import subprocess
import sys

import click
import pytest

from tests.benchmarks.contestants import earlier, running
from tests.support.processes import ROOT, serve_settings


def worktrees() -> int:
    """Return the number of git's worktrees."""
    command = ("git", "worktree", "list")
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return len(listing.stdout.splitlines())


def test_unknown_revision_is_refused() -> None:
    with pytest.raises(click.ClickException, match="no-such-revision"), earlier("no-such-revision", sys.executable):
        pass


@pytest.mark.slow
def test_earlier_revision_serves_from_its_own_tree(own_database_url: str) -> None:
    before = worktrees()
    with earlier("HEAD", sys.executable) as contestant:
        with (
            running(contestant, serve_settings(own_database_url, PGHOST="", PGPORT="")) as server,
            server.client() as client,
        ):
            status = client.get("/health/ready").status_code
            at = server.process.cwd()
        during = worktrees()

    assert (status, at, during - before) == (200, str(contestant.cwd), 1)
    assert (contestant.cwd.exists(), worktrees()) == (False, before)
