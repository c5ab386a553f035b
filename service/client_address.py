"""Where a request came from, told by what may be believed."""

from ipaddress import ip_address

from litestar.types import Scope


def client_address(scope: Scope, trusted_hops: int) -> str | None:
    """Return the client's IP address, or None where it is not known (a unix socket).

    Each of the `trusted_hops` proxies in front added the address of its own peer to the end of
    ``X-Forwarded-For``: counted from the right, the last of theirs is the client. What stands
    further left was made by the client, who may write anything there.
    """
    if trusted_hops:
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        entries = [entry.strip() for entry in ",".join(given).split(",")]
        if len(entries) >= trusted_hops and (address := _address(entries[-trusted_hops])):
            return address
    peer = scope.get("client")
    return _address(peer[0]) if peer else None


def _address(text: str) -> str | None:
    try:
        return str(ip_address(text))
    except ValueError:
        return None
