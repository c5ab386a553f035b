"""The client's IP address, behind trusted reverse proxies too."""

import re
from functools import cache, lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from litestar.types import Scope

from service.telemetry import log

# Some proxies, such as Azure's, append the client's port; an IPv6 address is then in brackets.
ADDRESS_WITH_PORT = re.compile(r"\[(?P<ipv6>[^\]]*)\](:\d+)?|(?P<ipv4>[\d.]+):\d+")


def client_address(scope: Scope, trusted_hops: int) -> str | None:
    """Return the client's IP address, or None if it is unknown (a unix socket).

    Trusted proxies append `trusted_hops` entries to ``X-Forwarded-For``, of which the first is the client's address;
    entries further left come from the client, which can forge them.
    """
    if trusted_hops:
        values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        entries = [entry.strip() for entry in ",".join(values).split(",")]
        if len(entries) >= trusted_hops:
            entry = entries[-trusted_hops]
            if address := _address(entry):
                return address
            if entry:
                _warn_unreadable()
    peer = scope.get("client")
    return _address(peer[0]) if peer else None


def client_network(address: str | None, ipv6_prefix: int = 64) -> str:
    """Return the network from which one client can choose its addresses: an IPv4 address, or the /64 of an IPv6 one.

    A site can have an IPv6 /48. All clients without an address count as one network.
    """
    if address is None:
        return "0.0.0.0/32"
    return str(ip_network(f"{address}/{ipv6_prefix}" if ":" in address else address, strict=False))


@lru_cache(1024)
def _address(text: str) -> str | None:
    if match := ADDRESS_WITH_PORT.fullmatch(text):
        text = match["ipv6"] or match["ipv4"] or ""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A dual-stack socket shows an IPv4 client as ::ffff:192.0.2.1; a zone (fe80::1%eth0) is meaningful only locally.
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Address(int(address)))
    return str(address)


@cache
def _warn_unreadable() -> None:
    """Warn, once per process, that the entry of a proxy is not an IP address."""
    log.warning(
        "X-Forwarded-For has no IP address at the position that TRUSTED_PROXY_HOPS gives; "
        "using the address of the nearest proxy instead"
    )
