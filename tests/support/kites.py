"""A controller that tests add to the service, for features that accounts do not use: parameters, integer ids, ETags."""

from typing import Annotated

import attrs
import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter

from service.auth.guard import BEARER
from service.http.etags import IfMatch, IfNoneMatch, etag, matches_any, not_modified
from service.http.openapi import ETAG, LINK, LOCATION
from service.http.request import ServiceRequest
from service.http.response import JSONResponse
from service.problems import RequestInFlight

KiteId = Annotated[int, PathParameter(description="the kite", ge=1, le=2**63 - 1)]
Limit = Annotated[int, QueryParameter(description="kites on a page at most", ge=1, le=1000)]
Key = Annotated[str | None, HeaderParameter(name="Idempotency-Key", description="of the client's choice", min_length=1)]


@attrs.frozen
class Kite:
    """A kite."""

    id: int
    kite_name: str


class KiteName(msgspec.Struct, forbid_unknown_fields=True):
    """The name of a new kite."""

    kite_name: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]


class KitesController(Controller):
    """A single constant kite."""

    path = "/kites"
    tags = ("kites",)
    security = BEARER

    @post("/create", problems=[RequestInFlight], response_headers=[ETAG, LOCATION])
    async def create_kite(
        self, request: ServiceRequest, data: JSONBody[KiteName], idempotency_key: Key = None
    ) -> JSONResponse[Kite]:
        """Create a kite for the caller; with a key only one."""
        return JSONResponse(Kite(1, data.kite_name), status_code=201, headers={"ETag": etag(1), "Location": "/kites/1"})

    @get("/me", response_headers=[LINK])
    async def list_my_kites(self, request: ServiceRequest, limit: Limit = 100) -> JSONResponse[list[Kite]]:
        """List the caller's kites."""
        return JSONResponse([Kite(1, "Red")][:limit])

    @get("/{kite_id:int}", response_headers=[ETAG])
    async def show_kite(self, kite_id: KiteId, if_none_match: IfNoneMatch = None) -> JSONResponse[Kite]:
        """Show a kite."""
        return not_modified(1) if matches_any(if_none_match, 1) else JSONResponse(Kite(kite_id, "Red"))

    @patch("/{kite_id:int}", response_headers=[ETAG])
    async def rename_kite(
        self, kite_id: KiteId, data: JSONBody[KiteName], if_match: IfMatch = None
    ) -> JSONResponse[Kite]:
        """Give a kite another name."""
        return JSONResponse(Kite(kite_id, data.kite_name), headers={"ETag": etag(2)})

    @delete("/{kite_id:int}")
    async def delete_kite(self, kite_id: KiteId, if_match: IfMatch = None) -> None:
        """Remove a kite."""
