"""``python -m service``."""

import io
import os
import signal
import sys

for descriptor in (0, 1, 2):
    try:
        os.fstat(descriptor)
    except OSError:
        # It is closed: a socket would get its number, and then the log. open() returns the lowest free number.
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - the standard library's signature

if isinstance(sys.stdout, io.TextIOWrapper):
    # Like stderr: a path or a dash that the encoding of the terminal lacks must not end a command.
    sys.stdout.reconfigure(errors="backslashreplace")

serves = sys.argv[1:2] == ["serve"]
if os.getpid() == 1:
    # The first process of a container: a signal that it does not handle is dropped (pid_namespaces(7)). Python drops
    # an exception in a weakref's callback, of which imports have many; until it serves, a server has nothing to unwind.
    signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number) if serves else sys.exit(128 + number))

if serves:
    # The default action would end the process; the server handles it once it has started.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
# If the program that started this one ignores SIGCHLD, so does this one, and never learns how a child has ended: a
# worker, or initdb.
signal.signal(signal.SIGCHLD, signal.SIG_DFL)

try:
    from service.cli import main
except ModuleNotFoundError as error:
    if not error.name or error.name.partition(".")[0] == __package__:
        raise
    sys.exit(f"{sys.executable} lacks the package {error.name}; in a checkout, run make dev and use .venv/bin/python")
except KeyboardInterrupt:
    print("\nInterrupted", file=sys.stderr)  # noqa: T201 - as main() does it later, by click
    sys.exit(128 + signal.SIGINT)

main(prog_name="python -m service")
