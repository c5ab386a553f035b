"""HTTP as bytes over sockets, for what no HTTP library would send."""

import re
import socket
from contextlib import suppress

STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)


def talk(port: int, *parts: bytes, patience: float = 10) -> bytes:
    """Send `parts`, and return all that comes until the service closes the connection, or `patience` (s) is over."""
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
    """Return the statuses of all answers in `answer`."""
    return [int(status) for status in STATUS.findall(response)]
