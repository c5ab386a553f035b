"""The socket that the service listens on."""

import socket

import pytest

from service.server.listener import bind


def test_name_with_only_an_ipv6_address_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as fly-local-6pn, an app's address in Fly's private network."""
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, port, **rest: look_up("::1", port, **rest))

    with bind("fly-local-6pn", 0) as listener:
        assert listener.getsockname()[0] == "::1"
