"""The listening socket."""

import errno
import socket
import time

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
