"""Accepting connections; tests/server/test_supervisor.py tests several processes."""

import asyncio
import errno
import socket
from functools import partial
from types import SimpleNamespace

import pytest
from typing_extensions import override

from service.problems import OperatorError
from service.server.acceptor import YIELD_PAUSE, Acceptor
from service.server.listener import bind
from service.server.slots import Slot
from tests.support.processes import PATIENCE


async def test_stopping_waits_for_connections_being_made() -> None:
    """Otherwise the shutdown would not reach them."""
    made: list[asyncio.BaseTransport] = []

    class Noting(asyncio.Protocol):
        @override
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)

    with bind("127.0.0.1", 0) as listener:
        acceptor = Acceptor(listener, Noting, [], Slot([0], [0], 0))
        with socket.create_connection(listener.getsockname()):
            while not acceptor.connection_count:  # noqa: ASYNC110 - it has no event for it
                await asyncio.sleep(0)
            assert not made

            await acceptor.stop()

    assert len(made) == 1
    made[0].close()


async def test_stopping_ends_the_pause_for_other_processes() -> None:
    """Otherwise it would accept connections again."""
    with bind("127.0.0.1", 0) as listener:
        acceptor = Acceptor(listener, asyncio.Protocol, [object()], Slot([0, 0], [0, 0], 0))  # type: ignore[list-item]  # only their number counts
        acceptor._on_readable()  # noqa: SLF001 - the other process has no connection, so this one pauses

        await acceptor.stop()
        await asyncio.sleep(YIELD_PAUSE * 2)

        assert not asyncio.get_running_loop().remove_reader(listener)


async def test_limit_after_a_failure_ends() -> None:
    """Otherwise a process that had few connections at the time would stay nearly closed."""
    accepted = asyncio.Event()

    class Noting(asyncio.Protocol):
        @override
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.set()
            transport.close()

    with bind("127.0.0.1", 0) as listener:
        busy = SimpleNamespace(idle_since=None)
        acceptor = Acceptor(listener, Noting, [busy, busy], Slot([0], [0], 0), limit_seconds=0.1)  # type: ignore[list-item]  # they are never idle
        acceptor._on_accept_error(OSError(errno.ENFILE, "Too many open files in system"))  # noqa: SLF001 - as accept() raises it

        with socket.create_connection(listener.getsockname()):
            await asyncio.wait_for(accepted.wait(), PATIENCE)
        await acceptor.stop()


@pytest.mark.parametrize(
    ("idle", "closed"), [([0, 3, 5, 2, 4, 6], [6, 5, 4]), ([0, 0, 5, 0, 4, 0], [5, 4])], ids=["enough", "few"]
)
async def test_failure_to_accept_closes_the_longest_idle(idle: list[int], closed: list[int]) -> None:
    """Half of all, but none that was idle for less than a second; then accepting pauses."""
    loop = asyncio.get_running_loop()
    found: list[int] = []
    connections = [
        SimpleNamespace(idle_since=loop.time() - seconds, close_if_idle=partial(found.append, seconds))
        for seconds in idle
    ]
    with bind("127.0.0.1", 0) as listener:
        acceptor = Acceptor(listener, asyncio.Protocol, connections, Slot([0], [0], 0))  # type: ignore[arg-type]  # all that it uses of them

        acceptor._on_accept_error(OSError(errno.EMFILE, "Too many open files"))  # noqa: SLF001 - as accept() raises it

        assert found == closed
        assert not loop.remove_reader(listener)
        await acceptor.stop()


async def test_port_on_which_another_process_listens_is_named() -> None:
    """Both have bound it at once, as two starts do."""
    with bind("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        with bind(host, port) as other:
            other.listen()

            with pytest.raises(OperatorError, match=f"^Cannot listen on {host}, port {port}: Address already"):
                Acceptor(listener, asyncio.Protocol, [], Slot([0], [0], 0))
