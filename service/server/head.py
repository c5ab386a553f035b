"""Checks of a request's head that RFC 9112 requires and httptools does not make."""

from service.problems import MalformedRequest, NotImplementedHere

Headers = list[tuple[bytes, bytes]]


def check_head(version: str, method: bytes, target: bytes, headers: Headers) -> bytes:
    """Check the head, and return path and query of the request target.

    Raises MalformedRequest or NotImplementedHere. Source: RFC 9112, 2.3, 3.2 and 6.1.
    """
    hosts = [value for name, value in headers if name == b"host"]
    if version not in {"1.1", "1.0"} or len(hosts) > 1 or (version == "1.1" and not hosts):
        raise MalformedRequest("A request needs exactly one Host, and HTTP/1.1")
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and version == "1.0":
        raise MalformedRequest("HTTP/1.0 has no Transfer-Encoding")
    if codings and codings != [b"chunked"]:
        raise NotImplementedHere("The only transfer coding served here is chunked")
    if b"#" in target:
        raise MalformedRequest("The request target contains a fragment")
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return target
    # The absolute form, which clients of proxies send (3.2.2).
    scheme, _, rest = target.partition(b"://")
    before_query, question, query = rest.partition(b"?")
    authority, _, path = before_query.partition(b"/")
    if scheme.lower() not in {b"http", b"https"} or [authority.lower()] != [host.lower() for host in hosts]:
        raise MalformedRequest("The request target must be a path, or a URL with the authority of Host")
    return b"/" + path + question + query
