"""Where a request came from, as far as that can be trusted."""

import re
from functools import cache, lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from litestar.types import Scope

from service.telemetry import log

# Some proxies, such as Azure's, add the port of the client; an IPv6 address is then in brackets.
WITH_PORT = re.compile(r"\[(?P<ipv6>[^\]]*)\](:\d+)?|(?P<ipv4>[\d.]+):\d+")


def client_address(scope: Scope, trusted_hops: int) -> str | None:
    """Return the client's IP address, or None if it is unknown (a unix socket).

    Each of the `trusted_hops` proxies in front added the address of its own peer to the end of ``X-Forwarded-For``:
    counted from the right, the last of theirs is the client. Everything further left came from the client, which can
    write anything there.
    """
    if trusted_hops:
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        entries = [entry.strip() for entry in ",".join(given).split(",")]
        if len(entries) >= trusted_hops:
            entry = entries[-trusted_hops]
            if address := _address(entry):
                return address
            if entry:
                _report_unreadable()
    peer = scope.get("client")
    return _address(peer[0]) if peer else None


def client_network(address: str | None) -> str:
    """Return the addresses that one client can choose from: an IPv4 address, or the 64 bits that IPv6 gives to each.

    Clients without an address are one network.
    """
    if address is None:
        return "0.0.0.0/32"
    return str(ip_network(f"{address}/64" if ":" in address else address, strict=False))


def client_site(address: str | None) -> str | None:
    """Return the wider network that one customer of a provider can have, or None for IPv4.

    It is the 48 bits of an IPv6 address from which a site makes its /64 networks (RFC 6177, 2).
    """
    if address is None or ":" not in address:
        return None
    return str(ip_network(f"{address}/48", strict=False))


@lru_cache(1024)  # each request asks
def _address(text: str) -> str | None:
    if found := WITH_PORT.fullmatch(text):
        text = found["ipv6"] or found["ipv4"] or ""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # ::ffff:192.0.2.1 is how a socket for both families shows an IPv4 client; a zone (fe80::1%eth0) is this host's own.
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Address(int(address)))
    return str(address)


@cache
def _report_unreadable() -> None:
    """Log, once in the life of a process, that a proxy's entry cannot be read."""
    log.warning(
        "X-Forwarded-For has no address at the place that TRUSTED_PROXY_HOPS names; "
        "the address of the nearest proxy is used instead"
    )
