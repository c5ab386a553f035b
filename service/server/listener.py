"""The listening socket."""

import errno
import socket
import struct
import sys
import time
from array import array
from contextlib import suppress

import click

from service.problems import OperatorError

# How long to wait for the port: the workers of a server that was killed need a moment to end.
SECONDS_FOR_PORT = 3.0
ADVICE = "choose another HOST or PORT"


def bind(host: str, port: int, advice: str = ADVICE) -> socket.socket:
    """Bind a socket, waiting up to SECONDS_FOR_PORT until the port is free.

    Raises OperatorError, with a message that ends with `advice`; uvicorn would only log the error.
    """
    deadline = time.monotonic() + SECONDS_FOR_PORT
    announced = False
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _refusal(host, port, error, advice) from error
    # Prefer IPv4: localhost usually has addresses of both families. Another name can have only an IPv6 address.
    family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    while True:
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise _refusal(host, port, error, advice) from error
            if not announced:
                click.echo(f"Waiting for port {port}: another process is using it", err=True)
            announced = True
            time.sleep(0.05)
        else:
            return listener


def listen(listener: socket.socket, backlog: int) -> None:
    """Start listening on a bound socket. Raises OperatorError.

    Linux lets several processes bind the same port, and refuses all but the first that listens.
    """
    try:
        listener.listen(backlog)
    except OSError as error:
        host, port = listener.getsockname()[:2]
        raise _refusal(host, port, error, ADVICE) from error


def _refusal(host: str, port: int, error: OSError, advice: str) -> OperatorError:
    return OperatorError(f"Cannot listen on {host}, port {port}: {error.strerror}; {advice}")


def stop_accepting(listener: socket.socket) -> None:
    """Refuse new connections in every process that shares `listener`; the backlog can still be accepted.

    Closing the listener would reset the connections in its backlog, and a new one can always arrive after the last
    check. So a filter in the kernel drops segments that open a connection (RFC 9293, 3.1: SYN is bit 1 of byte 13).
    Their senders try again after a second, and are refused. Source: https://docs.kernel.org/networking/filter.html
    """
    if sys.platform != "linux":
        return  # pragma: no cover - CI runs on Linux; other systems reset the backlog
    load_byte, jump_if_set, end = 0x30, 0x45, 0x06
    steps = [(load_byte, 0, 0, 13), (jump_if_set, 0, 1, 2), (end, 0, 0, 0), (end, 0, 0, 0xFFFF)]
    program = array("B", b"".join(struct.pack("HBBI", *step) for step in steps))
    address, _ = program.buffer_info()
    attach_filter = 26  # SO_ATTACH_FILTER
    with suppress(OSError):  # a sandbox can forbid it
        listener.setsockopt(socket.SOL_SOCKET, attach_filter, struct.pack("HP", len(steps), address))
