"""ETags of versioned rows, and the preconditions of requests (RFC 9110, 8.8.3 and 13.1)."""

import re
from collections.abc import Iterable
from typing import Annotated, Any

from litestar.params import HeaderParameter
from litestar.status_codes import HTTP_304_NOT_MODIFIED

from service.http.response import JSONResponse
from service.problems import NotFound, PreconditionFailed, Problem

EXAMPLE = {"examples": ['"1"']}
IfMatch = Annotated[
    str | None, HeaderParameter(name="If-Match", description="ETag that the client last read", schema_extra=EXAMPLE)
]
IfNoneMatch = Annotated[
    str | None,
    HeaderParameter(name="If-None-Match", description="ETags that the client has cached", schema_extra=EXAMPLE),
]

TAG = re.compile(r'(?P<weak>W/)?"(?P<opaque>[^"]*)"')
# The version in an ETag of this service; versions are of PostgreSQL's type integer.
VERSION = re.compile(r"[1-9][0-9]{0,9}")
MAX_VERSION = 2**31 - 1
# A client can send the first two in several lines (RFC 9110, 5.3), of which Litestar reads only the first. A joined
# Idempotency-Key, which must not be repeated, does not match its pattern.
JOINED_HEADERS = (b"if-match", b"if-none-match", b"idempotency-key")


def join_headers(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    """Return `headers` with the lines of each of JOINED_HEADERS joined into one."""
    joined: dict[bytes, bytes] = {}
    others = []
    for name, value in headers:
        if name in JOINED_HEADERS:
            joined[name] = joined[name] + b", " + value if name in joined else value
        else:
            others.append((name, value))
    return [*others, *joined.items()]


def etag(version: int) -> str:
    """Return the strong ETag of a row with this `version`."""
    return f'"{version}"'


def matches_any(if_none_match: str | None, version: int) -> bool:
    """Return whether ``If-None-Match`` names `version`; weak tags match too (RFC 9110, 13.1.2)."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or str(version) in {tag["opaque"] for tag in TAG.finditer(if_none_match)}


def not_modified(version: int) -> JSONResponse[Any]:
    """Return 304 with the ETag of `version` and no body, for a client that has it cached (RFC 9110, 15.4.5)."""
    return JSONResponse(None, status_code=HTTP_304_NOT_MODIFIED, headers={"ETag": etag(version)})


def expected_versions(if_match: str | None) -> list[int] | None:
    """Return the versions that ``If-Match`` allows, or None if it allows any.

    Weak tags, and tags that this service cannot have issued, match nothing (RFC 9110, 13.1.1).
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tags = [tag["opaque"] for tag in TAG.finditer(if_match) if not tag["weak"]]
    return [int(tag) for tag in tags if VERSION.fullmatch(tag) and int(tag) <= MAX_VERSION]


def unchanged_problem(found: object | None, versions: list[int] | None, missing: str) -> Problem:
    """Return the problem for a write that changed no row, given the row `found` by the same statement.

    It is PreconditionFailed if the row has none of the `versions`, and NotFound with the detail `missing` if there is
    no row.
    """
    # Without `versions`, the row was deleted by a concurrent request after it was found.
    return NotFound(missing) if found is None or versions is None else PreconditionFailed()
