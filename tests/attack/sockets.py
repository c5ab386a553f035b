"""HTTP as bytes over sockets, for what no HTTP library would send."""

import re
import socket

STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)


def talk(port: int, *parts: bytes, patience: float = 10) -> bytes:
    """Send `parts`, and return all that comes until the service closes the connection, or `patience` (s) is over."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        received = []
        try:
            for part in parts:
                connection.sendall(part)
            while data := connection.recv(65536):
                received.append(data)
        except (ConnectionError, TimeoutError):  # closed while it still had something to read
            pass
    return b"".join(received)


def statuses(answer: bytes) -> list[int]:
    """Return the statuses of all answers in `answer`."""
    return [int(status) for status in STATUS.findall(answer)]
