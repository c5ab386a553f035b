"""Procfile, requirements.txt, .python-version and app.json follow the rules of Heroku's Python buildpack.

Sources: https://devcenter.heroku.com/articles/python-support, …/procfile, …/release-phase, …/dynos#shutdown,
…/app-json-schema
"""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from service.settings import Settings
from tests.support.debian import POSTGRES, debian_postgres
from tests.support.deployment import PROCFILE
from tests.support.first_session import run_black_box
from tests.support.processes import (
    PATIENCE,
    ROOT,
    Running,
    environment,
    free_port,
    is_alive,
    serve_settings,
    wait_until,
)
from tests.support.programs import needs

APP = json.loads((ROOT / "app.json").read_text())
LOCKS = {"requirements.txt", "Pipfile", "Pipfile.lock", "poetry.lock", "uv.lock", "pdm.lock", "environment.yml"}
GO_AHEAD = "insert into _yoyo_migration (migration_hash, migration_id, applied_at_utc) values ('', '9999_later', now())"


def test_procfile_has_release_and_web() -> None:
    assert PROCFILE.items() >= {"release": "python -m service migrate", "web": "python -m service serve"}.items()


def test_there_is_one_lock_file() -> None:
    """With two, the build fails because the choice is ambiguous."""
    assert {path.name for path in ROOT.iterdir()} & LOCKS == {"requirements.txt"}


def test_lock_pins_versions_and_hashes_without_index() -> None:
    lock = (ROOT / "requirements.txt").read_text()

    requirements = re.findall(r"^[a-z][^\n]*(?:\n +--hash=sha256:[0-9a-f]{64}.*)+", lock, re.MULTILINE)
    assert [line for line in lock.splitlines() if line.startswith("--")] == []
    assert len(requirements) == len(re.findall(r"^[a-zA-Z]", lock, re.MULTILINE))
    assert all(re.match(r"[\w\[\]-]+==[\w.]+ ", requirement) for requirement in requirements)


def test_lock_has_no_tools() -> None:
    lock = (ROOT / "requirements.txt").read_text()

    assert re.search(r"^uvicorn==", lock, re.MULTILINE)
    assert re.findall(r"^(pytest|ruff|mypy|uv|honcho|pglast)==", lock, re.MULTILINE) == []


def test_python_version_has_no_patch_release() -> None:
    """So the platform applies security updates itself."""
    version = (ROOT / ".python-version").read_text().strip()

    assert re.fullmatch(r"3\.1[1-4]", version)


def test_review_app_has_all_required_settings() -> None:
    """The generator makes 64 hexadecimal digits; the add-on sets DATABASE_URL, the platform PORT."""
    made = {name: each.get("value", "0123456789abcdef" * 4) for name, each in APP["env"].items()}

    settings = Settings.read(made | {"DATABASE_URL": "postgres://user:password@host:5432/name", "PORT": "5000"})

    assert settings.allowed_hosts == (".herokuapp.com",)
    assert settings.trusted_proxy_hops == 1
    assert settings.address == ("0.0.0.0", 5000)  # noqa: S104 - where the platform connects to the service


def test_review_app_fits_its_databases_connections() -> None:
    """20 connections: two workers, as many while the next release starts, and a migration."""
    assert APP["addons"] == ["heroku-postgresql:essential-0"]
    assert 2 * int(APP["env"]["DATABASE_POOL_SIZE"]["value"]) <= 10


def test_app_json_has_no_secret() -> None:
    assert [name for name, each in APP["env"].items() if "SECRET" in name and "value" in each] == []


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Return the URL of a PostgreSQL with TLS and a self-signed certificate, in Heroku's spelling."""
    with debian_postgres({}) as url:
        yield url.replace("postgresql://", "postgres://")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return a PATH as on a dyno: with `python`, and without development tools."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / "python").chmod(0o755)
    path = f"{folder}:/usr/bin:/bin"
    assert shutil.which("uv", path=path) is None
    return path


def release(url: str, path: str) -> "subprocess.CompletedProcess[str]":
    """Run the release phase."""
    settings = environment({"DATABASE_URL": url, "PATH": path, "PORT": "5000"})
    shell = ["/bin/sh", "-c", PROCFILE["release"]]
    return subprocess.run(shell, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.fixture
def sslmode() -> str:
    """Return the URL's sslmode; the platform's URL has none."""
    return ""


@pytest.fixture
def web(url: str, sslmode: str, path: str, tmp_path: Path) -> Iterator[Running]:
    """Yield the web process, released and started by honcho with two workers."""
    assert release(url, path).returncode == 0
    port = str(free_port())
    honcho = [str(Path(sys.executable).parent / "honcho"), "--env", "/dev/null", "start", "--port", port, "web"]
    settings = serve_settings(url + sslmode, PATH=path, PORT=port, WEB_CONCURRENCY="2", LOGIN_THROTTLE="off")
    with Running("web", tmp_path, settings, program=honcho) as running:
        running.wait_until_ready()
        yield running


slow = pytest.mark.slow
with_postgres = needs(POSTGRES)


@slow
@with_postgres
@pytest.mark.parametrize("sslmode", ["", "?sslmode=require", "?sslmode=disable"])
def test_release_phase_migrates_and_can_be_repeated(url: str, path: str, sslmode: str) -> None:
    released = [release(url + sslmode, path) for _ in range(2)]

    assert [(each.returncode, each.stderr) for each in released] == [(0, ""), (0, "")]
    assert released[1].stdout == "to apply: nothing\n"


@slow
@with_postgres
def test_release_phase_accepts_a_newer_database(url: str, path: str) -> None:
    assert release(url, path).returncode == 0
    with psycopg.connect(url) as connection:
        connection.execute(GO_AHEAD.encode())

    done = release(url, path)

    with psycopg.connect(url) as connection:
        connection.execute("delete from _yoyo_migration where migration_id = '9999_later'")
    assert (done.returncode, done.stderr) == (0, "")
    assert "the database is ahead of this code by 9999_later; left as it is" in done.stdout


@slow
@with_postgres
def test_web_process_serves_on_the_platforms_port(web: Running, url: str) -> None:
    assert " passed" in run_black_box(web.url)

    # honcho starts a shell, that the parent, and that the workers
    workers = [process for process in web.workers() if not process.children()]
    assert len(workers) == 2
    with psycopg.connect(url) as connection:
        ways = connection.execute("select distinct ssl from pg_stat_ssl natural join pg_stat_activity").fetchall()
        assert ways == [(True,)]
    lines = re.findall(r"web\.1 +\| (?=\{)(.*)", web.stdout)
    assert "Application startup complete." in [json.loads(line)["event"] for line in lines]


@slow
@with_postgres
@pytest.mark.parametrize("sslmode", ["?sslmode=require"])
@pytest.mark.usefixtures("sslmode")
def test_sigterm_to_all_processes_ends_them_in_time(web: Running) -> None:
    family = web.process_tree()

    for process in family:
        process.send_signal(signal.SIGTERM)

    wait_until(lambda: not any(is_alive(process) for process in family), "all have ended", seconds=30)
    assert "Traceback" not in web.stdout + web.stderr
