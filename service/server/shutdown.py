"""How a process ends: who got in is answered.

After SIGTERM it *drains* for DRAIN_SECONDS: readiness answers 503, so that load balancers look elsewhere, while
everything is served, each response with ``Connection: close``. Then new connections are refused, by the process itself
or by the parent of several. The backlog is served for a second more; then uvicorn closes the listener and waits for
requests under way (ShutdownTimeouts).
"""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Protocol, cast

from service.server.protocol import LimitedHttpProtocol
from service.telemetry import log
from service.timeouts import ShutdownTimeouts


class Draining(Protocol):
    """What knows whether its process is about to end."""

    draining: bool


def drain_on_sigterm(app: Draining, seconds: int, listener: socket.socket | None) -> None:
    """Let SIGTERM drain this process for `seconds` before uvicorn, which runs in it, ends it.

    The parent of several workers shuts the `listener` itself.
    """
    loop = asyncio.get_running_loop()
    finish = uvicorns_handler()

    def begin() -> None:
        log.info("draining", seconds=seconds)
        if listener:
            loop.call_later(seconds, stop_accepting, listener)
        loop.call_later(seconds + ShutdownTimeouts().backlog, finish, signal.SIGTERM, None)

    def drain(_: int, __: FrameType | None) -> None:
        if not app.draining:  # a platform may tell all processes, and the parent then tells its workers
            app.draining = LimitedHttpProtocol.draining = True
            loop.call_soon_threadsafe(begin)

    signal.signal(signal.SIGTERM, drain)


def uvicorns_handler() -> Callable[[int, FrameType | None], object]:
    """Return what ends this process in good order, until drain_on_sigterm() takes its place."""
    return cast(Callable[[int, FrameType | None], object], signal.getsignal(signal.SIGTERM))


def end_with_parent() -> None:
    """End this worker when the process that started it is gone, even killed; it would serve on and hold the port."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop = asyncio.get_running_loop()
    finish = uvicorns_handler()

    def end(sentinel: int) -> None:
        loop.remove_reader(sentinel)  # it stays readable
        finish(signal.SIGTERM, None)  # without draining

    try:
        sentinel = os.pidfd_open(parent.pid)  # type: ignore[arg-type]  # it has been started
    except (AttributeError, OSError):  # pragma: no cover - not Linux, or a sandbox forbids it
        sentinel = parent.sentinel  # a pipe, whose other end forked workers have, too
    loop.add_reader(sentinel, end, sentinel)


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
