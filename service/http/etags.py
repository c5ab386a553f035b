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
# A version as we write it, and PostgreSQL's integer: the largest.
VERSION = re.compile(r"[1-9][0-9]{0,9}")
LARGEST = 2**31 - 1
# Headers that are lists, which a client may spread over several lines (RFC 9110, 5.3). Litestar takes the first line.
LISTS = (b"if-match", b"if-none-match")


def joined_lists(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    """Return `headers` with all lines of If-Match, and of If-None-Match, as one."""
    lists = {name: b", ".join(value for each, value in headers if each == name) for name in LISTS}
    if not any(lists.values()):
        return headers
    others = [(name, value) for name, value in headers if name not in lists]
    return [*others, *((name, value) for name, value in lists.items() if value)]


def etag(version: int) -> str:
    """Return the strong entity tag of a row at `version`."""
    return f'"{version}"'


def matches_any(if_none_match: str | None, version: int) -> bool:
    """Return whether ``If-None-Match`` names `version`; weak tags count too (13.1.2)."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or str(version) in {tag["opaque"] for tag in TAG.finditer(if_none_match)}


def not_modified(version: int) -> JSONResponse[Any]:
    """Return the response for a client that has `version` already: no body, the same ETag (RFC 9110, 15.4.5)."""
    return JSONResponse(None, status_code=HTTP_304_NOT_MODIFIED, headers={"ETag": etag(version)})


def wanted_versions(if_match: str | None) -> list[int] | None:
    """Return the versions that ``If-Match`` allows, or None if it allows any.

    Weak tags, and tags that were never ours, match nothing (13.1.1).
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tags = [tag["opaque"] for tag in TAG.finditer(if_match) if not tag["weak"]]
    return [int(tag) for tag in tags if VERSION.fullmatch(tag) and int(tag) <= LARGEST]


def refusal(found: object | None, versions: list[int] | None, missing: str) -> Problem:
    """Return why nothing was changed: what was `found` is at none of the `versions`; or none is there (`missing`)."""
    # Found, and yet not changed at any version: another request removed it, for which this one had to wait.
    return NotFound(missing) if found is None or versions is None else PreconditionFailed()
