"""HTTP as raw bytes over sockets, for requests that no HTTP library would send."""

import re
import socket
from contextlib import suppress

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def talk(port: int, *parts: bytes, patience: float = 10) -> bytes:
    """Send `parts`; return all bytes received until the service closes the connection, or for `patience` seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        received = []
        with suppress(ConnectionError):  # answered and closed before its end
            for part in parts:
                connection.sendall(part)
        with suppress(ConnectionError, TimeoutError):
            while data := connection.recv(65536):
                received.append(data)
    return b"".join(received)


def statuses(response: bytes) -> list[int]:
    """Return the statuses of all responses in `response`."""
    return [int(status) for status in STATUS.findall(response)]
