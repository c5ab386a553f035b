"""Hosts that accept connections and do not answer, before one that does."""

import socket
from contextlib import ExitStack

import pytest

from service.embedded import EmbeddedPostgres
from service.problems import Unavailable
from service.timeouts import DatabaseTimeouts
from tests.support.pools import Backend, Opening, url_with_hosts


async def test_third_host_is_found_behind_two_silent_ones(
    opening: Opening,
    backend: Backend,
    database_url: str,
    server: EmbeddedPostgres,
) -> None:
    """The first attempt times out before the third host; the next one tries the silent hosts last."""
    timeouts = DatabaseTimeouts(acquire=10, query=30, connect=0.4, connect_host=0.25)
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        others = [f"127.0.0.1:{each.getsockname()[1]}" for each in silent]
        db = await opening(url_with_hosts(database_url, server, *others), timeouts=timeouts)
        with pytest.raises(Unavailable):
            await db.value(backend)

        assert await db.value(backend)
