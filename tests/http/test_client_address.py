"""The client's address behind trusted proxies."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from service.http.client_address import _warn_unreadable, client_address, client_network

PEER = "10.0.0.1"


def scope(*forwarded_for: str, client: tuple[str, int] | None = (PEER, 1234)) -> Any:  # noqa: ANN401 - a scope has more keys
    """Return the parts of an ASGI scope that determine the address."""
    headers = [(b"host", b"localhost")] + [(b"x-forwarded-for", value.encode()) for value in forwarded_for]
    return {"client": client, "headers": headers}


def test_peer_is_the_client_without_proxies() -> None:
    assert client_address(scope(), 0) == PEER


def test_forwarded_header_of_a_client_is_ignored() -> None:
    assert client_address(scope("203.0.113.7"), 0) == PEER


@pytest.mark.parametrize(
    ("forwarded_for", "hops", "address"),
    [
        (["203.0.113.7"], 1, "203.0.113.7"),
        (["6.6.6.6, 203.0.113.7"], 1, "203.0.113.7"),
        (["6.6.6.6,203.0.113.7 , 10.0.0.2"], 2, "203.0.113.7"),
        (["6.6.6.6", "203.0.113.7", "10.0.0.2"], 2, "203.0.113.7"),
        (["2001:DB8:0::7"], 1, "2001:db8::7"),
        (["203.0.113.7:51234"], 1, "203.0.113.7"),
        (["203.0.113.7:443, 10.0.0.2:80"], 2, "203.0.113.7"),
        (["[2001:db8::7]:51234"], 1, "2001:db8::7"),
        (["[2001:db8::7]"], 1, "2001:db8::7"),
        (["[::ffff:203.0.113.7]:1"], 1, "203.0.113.7"),
    ],
)
def test_trusted_proxies_are_counted_from_the_right(forwarded_for: list[str], hops: int, address: str) -> None:
    assert client_address(scope(*forwarded_for), hops) == address


@pytest.mark.parametrize(
    "forwarded_for",
    [
        [],
        ["203.0.113.7"],
        ["unknown, 10.0.0.2"],
        [", 10.0.0.2"],
        ["203.0.113.7:, 10.0.0.2"],
        ["203.0.113.7:x, 10.0.0.2"],
        ["[2001:db8::7, 10.0.0.2"],
        ["[]:1, 10.0.0.2"],
        ["for=203.0.113.7, 10.0.0.2"],
    ],
)
def test_unusable_forwarded_entry_falls_back_to_peer(forwarded_for: list[str]) -> None:
    assert client_address(scope(*forwarded_for), 2) == PEER


@pytest.mark.parametrize("client", [None, ("", 0), ("/run/service.sock", 0)])
def test_client_on_a_unix_socket_has_no_address(client: tuple[str, int] | None) -> None:
    assert client_address(scope(client=client), 0) is None


@pytest.mark.parametrize(
    ("shown", "address"), [("::ffff:203.0.113.7", "203.0.113.7"), ("fe80::1%eth0", "fe80::1"), ("::1", "::1")]
)
def test_mapped_ipv4_address_and_zone_are_stripped(shown: str, address: str) -> None:
    assert client_address(scope(client=(shown, 1)), 0) == address


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (None, "0.0.0.0/32"),
    ],
)
def test_ipv6_client_is_its_64_bit_prefix(address: str | None, network: str) -> None:
    assert client_network(address) == network


def test_unreadable_entry_is_logged_once() -> None:
    _warn_unreadable.cache_clear()
    numbers = []

    with capture_logs() as logs:
        for entry in ("", "203.0.113.7", "unknown", "for=203.0.113.7"):
            client_address(scope(entry), 1)
            numbers.append(len(logs))

    assert numbers == [0, 0, 1, 1]
    assert [(each["log_level"], "TRUSTED_PROXY_HOPS" in each["event"]) for each in logs] == [("warning", True)]
