"""The listening socket."""

import ctypes
import errno
import socket
import struct
import sys
import time
from contextlib import suppress

import click

# The workers of a server that was killed need a moment to end.
SECONDS_FOR_PORT = 3.0


def bind(host: str, port: int, advice: str = "HOST and PORT name another place") -> socket.socket:
    """Bind a socket to the port, and wait for up to SECONDS_FOR_PORT until it is free.

    Raises click.ClickException, whose sentence ends with `advice`; uvicorn would only log the error.
    """
    deadline = time.monotonic() + SECONDS_FOR_PORT
    told = False
    while True:
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                sentence = f"Cannot listen on {host}, port {port}: {error.strerror}; {advice}"
                raise click.ClickException(sentence) from error
            if not told:
                click.echo(f"Waiting for port {port}: another process has it", err=True)
            told = True
            time.sleep(0.05)
        else:
            return listener


def stop_accepting(listener: socket.socket) -> None:
    """Stop accepting connections on `listener`, in every process that shares it; the backlog can still be accepted.

    Closing it would reset the connections in the backlog, and one can always arrive after the last look. So Linux is
    told to drop the segments that open a connection (RFC 9293, 3.1: SYN is bit 1 of byte 13); their senders try again
    after a second, and are refused. Source: https://docs.kernel.org/networking/filter.html
    """
    if sys.platform != "linux":
        return  # pragma: no cover - CI runs on Linux; elsewhere those in the queue are reset
    load_byte, jump_if_set, end = 0x30, 0x45, 0x06
    steps = [(load_byte, 0, 0, 13), (jump_if_set, 0, 1, 2), (end, 0, 0, 0), (end, 0, 0, 0xFFFF)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    attach_filter = 26  # SO_ATTACH_FILTER
    with suppress(OSError):  # a sandbox may forbid it
        listener.setsockopt(socket.SOL_SOCKET, attach_filter, struct.pack("HP", len(steps), ctypes.addressof(program)))
