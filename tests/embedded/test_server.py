"""The embedded PostgreSQL with real processes, whose holders end in every possible way."""

import asyncio
import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import psycopg
import pytest

from service import embedded
from service.embedded import EmbeddedPostgresError, embedded_postgres

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

QUICK = {"fsync": "off"}
ROOT = os.geteuid() == 0
HOLDER = """
import signal, sys, time
from pathlib import Path
from service.embedded import embedded_postgres

def leave(*_):
    raise SystemExit(143)

signal.signal(signal.SIGTERM, leave)
with embedded_postgres(Path(sys.argv[1]), {"fsync": "off"}) as postgres:
    print(postgres.url("postgres"), postgres.socket_directory, flush=True)
    while True:
        time.sleep(0.1)  # not pause(): a signal that comes just before it is handled only after the next one
"""
Hold = Callable[[Path], subprocess.Popen[str]]


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Start processes that hold a server and lead a process group, like `make dev` in a terminal."""
    holders: list[subprocess.Popen[str]] = []

    def start(directory: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDER, str(directory)]
        holders.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True))
        return holders[-1]

    yield start
    for holder in holders:
        with holder:
            holder.terminate()


def ready(holder: subprocess.Popen[str]) -> tuple[str, Path]:
    """Wait until the holder's server runs; give its URL and the folder of its socket."""
    assert holder.stdout is not None
    url, socket_directory = holder.stdout.readline().split()
    return url, Path(socket_directory)


def processes(*words: str) -> list[int]:
    """Find the processes whose command lines have all the words."""
    lines: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            lines.append(path.parent.name + " " + path.read_text(errors="replace").replace("\0", " "))
    if not lines:  # macOS
        lines = subprocess.check_output(["/bin/ps", "-axwwo", "pid=,command="], text=True).splitlines()
    return [int(line.split()[0]) for line in lines if all(word in line for word in words)]


def postmaster(directory: Path) -> int:
    return int((directory / "data/postmaster.pid").read_text().split()[0])


def wait_for(event: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not event():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    return row and row[0]


def remember(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create table memory as select 'here' as word")


def test_empty_folder_becomes_a_utf8_postgresql_18(workshop: Path) -> None:
    with embedded_postgres(workshop / "new/folder", QUICK) as postgres:
        url = postgres.url("postgres")

        assert ask(url, "select current_setting('server_version_num')::int / 10000") == 18
        assert ask(url, "show server_encoding") == "UTF8"
        assert ask(url, "select datlocprovider::text || datlocale from pg_database") == "bC.UTF-8"


def test_asyncpg_psycopg_and_psql_accept_the_url(
    directory: Path, workshop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask_asyncpg(url: str) -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval("select current_database()")
        finally:
            await connection.close()

    (workshop / "a + b").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(workshop / "a + b"))
    name = "tea & 50% müsli"
    with embedded_postgres(directory, QUICK) as postgres:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute(f'create database "{name}"')
        line = postgres.psql(name) + " -XAtc 'select current_database()'"

        assert asyncio.run(ask_asyncpg(postgres.url(name))) == name
        assert ask(postgres.url(name), "select current_database()") == name
        assert subprocess.check_output(line, shell=True, text=True) == f"{name}\n"  # noqa: S602 - a line to paste


def test_only_the_owner_connects_by_the_socket(directory: Path) -> None:
    with embedded_postgres(directory, {"listen_addresses": "*", **QUICK}) as postgres:
        folder = postgres.socket_directory.stat()

        assert ask(postgres.url("postgres"), "show listen_addresses") == ""
        assert (stat.S_IMODE(folder.st_mode), folder.st_uid) == (0o700, os.geteuid())


def test_context_end_leaves_no_process_or_socket(directory: Path) -> None:
    with embedded_postgres(directory, QUICK) as postgres:
        assert postmaster(directory) in processes(str(directory))
        assert len(processes(str(directory), "guard of")) == 1

    assert processes(str(directory)) == []
    assert not postgres.socket_directory.exists()


def test_terminal_signals_do_not_reach_the_server(directory: Path) -> None:
    with embedded_postgres(directory, QUICK):
        groups = {os.getpgid(pid) for pid in processes(str(directory))}

    assert os.getpgid(0) not in groups


def test_exception_stops_the_server(directory: Path) -> None:
    with pytest.raises(KeyError), embedded_postgres(directory, QUICK):
        raise KeyError

    assert processes(str(directory)) == []


def test_failed_start_shows_log_and_leaves_nothing(directory: Path) -> None:
    sentence = r'(?s)did not start.*/log:.*parameter "no_such_setting"'
    with (
        pytest.raises(EmbeddedPostgresError, match=sentence),
        embedded_postgres(directory, {"no_such_setting": "1"}),
    ):
        pass

    assert processes(str(directory)) == []


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_signal_to_process_group_leaves_nothing(directory: Path, hold: Hold, signum: int, status: int) -> None:
    holder = hold(directory)
    _, socket_directory = ready(holder)

    os.killpg(holder.pid, signum)

    assert holder.wait(10) == status
    assert processes(str(directory)) == []
    assert not socket_directory.exists()
    assert "received fast shutdown request" in (directory / "log").read_text()


def test_server_of_a_killed_holder_shuts_down_cleanly(directory: Path, hold: Hold) -> None:
    holder = hold(directory)
    _, socket_directory = ready(holder)

    holder.kill()
    holder.wait()

    wait_for(lambda: not processes(str(directory)))
    assert "database system is shut down" in (directory / "log").read_text()
    assert list(socket_directory.iterdir()) == []
    socket_directory.rmdir()


def test_restart_after_kill_waits_and_finds_data(directory: Path, hold: Hold) -> None:
    holder = hold(directory)
    remember(ready(holder)[0])
    old = postmaster(directory)

    holder.kill()
    holder.wait()
    with embedded_postgres(directory, QUICK) as postgres:
        assert old not in processes(str(directory))
        assert ask(postgres.url("postgres"), "select word from memory") == "here"


@pytest.mark.parametrize("last", [signal.SIGCONT, signal.SIGSTOP])
def test_restart_after_kill_stops_an_unguarded_server(
    directory: Path, hold: Hold, monkeypatch: pytest.MonkeyPatch, last: signal.Signals
) -> None:
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.2)
    holder = hold(directory)
    remember(ready(holder)[0])
    old = postmaster(directory)
    os.kill(processes(str(directory), "guard of")[0], signal.SIGKILL)
    os.kill(old, last)

    holder.kill()
    holder.wait()
    with embedded_postgres(directory, QUICK) as postgres:
        assert old not in processes(str(directory))
        assert ask(postgres.url("postgres"), "select word from memory") == "here"


def test_server_that_does_not_stop_is_killed(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.1)

    with embedded_postgres(directory, QUICK):
        os.kill(postmaster(directory), signal.SIGSTOP)

    assert processes(str(directory)) == []


def test_reused_pid_in_stale_file_is_ignored(directory: Path) -> None:
    server_user = "nobody" if ROOT else None  # PostgreSQL considers only processes of its own user
    with subprocess.Popen(["/bin/sleep", "60"], user=server_user) as stranger:
        (directory / "data/postmaster.pid").write_text(f"{stranger.pid}\n{directory}/data\n")

        with embedded_postgres(directory, QUICK) as postgres:
            assert ask(postgres.url("postgres"), "show fsync") == "off"

        assert stranger.poll() is None
        stranger.kill()


def test_second_holder_is_refused_naming_the_first(directory: Path, hold: Hold) -> None:
    holder = hold(directory)
    url, _ = ready(holder)

    sentence = f"in use by process {holder.pid}: stop that process first"
    with pytest.raises(EmbeddedPostgresError, match=sentence), embedded_postgres(directory):
        pass

    assert ask(url, "select 'still here'") == "still here"


def test_two_folders_run_side_by_side(directory: Path, model: Path) -> None:
    with embedded_postgres(directory, QUICK) as one, embedded_postgres(model, QUICK) as other:
        assert ask(one.url("postgres"), "show data_directory") == f"{directory}/data"
        assert ask(other.url("postgres"), "show data_directory") == f"{model}/data"


def test_long_path_with_spaces_and_quotes_works(workshop: Path) -> None:
    directory = workshop / "it's a \"long\" way $HOME, Zoë's 100% " / ("x" * 100) / ".dev"

    with embedded_postgres(directory, QUICK) as postgres:
        assert ask(postgres.url("postgres"), "show data_directory") == f"{directory}/data"


def test_interrupted_initdb_does_not_break_next_start(workshop: Path, hold: Hold) -> None:
    directory = workshop / "unfinished"
    holder = hold(directory)
    wait_for((directory / "data.new/PG_VERSION").exists)

    holder.kill()
    holder.wait()

    assert not (directory / "data").exists()
    with embedded_postgres(directory, QUICK) as postgres:
        assert ask(postgres.url("postgres"), "show server_encoding") == "UTF8"


def test_ctrl_c_during_initdb_leaves_no_process(workshop: Path, hold: Hold) -> None:
    directory = workshop / "interrupted"
    holder = hold(directory)
    wait_for((directory / "data.new/PG_VERSION").exists)

    os.killpg(holder.pid, signal.SIGINT)

    assert holder.wait(10) == -signal.SIGINT
    with (directory / "server.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while any PostgreSQL process uses it
