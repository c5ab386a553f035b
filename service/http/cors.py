"""Lets pages of other origins call the service (https://fetch.spec.whatwg.org/#http-cors-protocol).

Litestar's CORS middleware covers only Litestar's own responses: a page could not read why its host, or its request as
a whole, was refused.
"""

import re
from collections.abc import Collection, Mapping
from typing import TypeAlias

Headers: TypeAlias = list[tuple[bytes, bytes]]

# Seconds that browsers remember the response to a preflight; without it, 5.
MAX_AGE = b"600"
METHODS = b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
# Stops caches from giving the page of an allowed origin a response to another one, which it could not read
# (https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches).
VARY = (b"vary", b"Origin")


class CORS:
    """The headers for pages of the allowed `origins`, whose scripts can read the response headers in `exposed`.

    In an origin, ``*`` stands for any text: ``https://*.example.com``.
    """

    def __init__(self, origins: Collection[str], exposed: Collection[str]) -> None:
        self._exposed = (b"access-control-expose-headers", ", ".join(exposed).encode())
        patterns = [re.escape(origin).replace(r"\*", ".+") for origin in origins]
        # No origin is longer; the time of a search with several wildcards grows with a power of the length.
        self._allowed = re.compile(f"(?=.{{,300}}\\Z)({'|'.join(patterns)})".encode(), re.IGNORECASE)

    def response_headers(self, request: Mapping[bytes, bytes]) -> Headers:
        """Return what each response to a request with these headers needs, error responses included."""
        origin = request.get(b"origin", b"")
        if not self._allowed.fullmatch(origin):
            return [VARY]
        return [(b"access-control-allow-origin", origin), self._exposed, VARY]

    def preflight_headers(self, request: Mapping[bytes, bytes]) -> Headers | None:
        """Return what the response to OPTIONS needs in addition; None if it is no preflight from an allowed origin.

        A preflight is never refused, so that the page can read the error response to the request itself. Another
        origin gets the normal response to OPTIONS, which browsers take for a denial.
        """
        if b"access-control-request-method" not in request or not self._allowed.fullmatch(request.get(b"origin", b"")):
            return None
        names = request.get(b"access-control-request-headers", b"")  # "*" would not include Authorization
        return [
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", names),
            (b"access-control-max-age", MAX_AGE),
        ]
